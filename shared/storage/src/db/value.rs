//! What goes into a statement.

use bytes::Bytes;
use smallvec::SmallVec;

/// A parameter of a statement, or a column of a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL of any type.
    Null,
    /// BIGINT.
    Int(i64),
    /// BOOLEAN.
    Bool(bool),
    /// TEXT.
    Text(String),
    /// BYTEA.
    Bytes(Bytes),
    /// The list in `= ANY($n)`.
    Ints(Vec<i64>),
    /// The sequence that row `i` of the change set gets on the log. The sequencer replaces it inside the commit attempt; no engine accepts it.
    SequenceOf(usize),
}

impl Value {
    /// The SQL type, for messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Int(_) => "BIGINT",
            Self::Bool(_) => "BOOLEAN",
            Self::Text(_) => "TEXT",
            Self::Bytes(_) => "BYTEA",
            Self::Ints(_) => "list of BIGINT",
            Self::SequenceOf(_) => "sequence not yet given",
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::Bytes(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value.into())
    }
}

impl From<Vec<i64>> for Value {
    fn from(value: Vec<i64>) -> Self {
        Self::Ints(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Parameters in the order of their `$n`.
pub type Params = SmallVec<[Value; 12]>;

/// One statement of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Begins with a comment that names its function: `-- receipts::upsert`.
    pub sql: &'static str,
    /// Its parameters.
    pub params: Params,
    /// How many rows it must touch, when another number means that the transaction must not commit.
    pub expected_rows: Option<u64>,
}

impl Statement {
    /// A statement that may touch any number of rows.
    pub fn new<const N: usize>(sql: &'static str, params: [Value; N]) -> Self {
        Self {
            sql,
            params: params.into_iter().collect(),
            expected_rows: None,
        }
    }

    /// The same statement, which must touch exactly so many rows.
    #[must_use]
    pub fn expecting(self, rows: u64) -> Self {
        Self {
            expected_rows: Some(rows),
            ..self
        }
    }
}

//! One small database type over PostgreSQL and SQLite.
//!
//! There is one set of queries (DESIGN section 5 has the subset both engines share), written for PostgreSQL. A transaction is a list of
//! [`Statement`]s and not a scope one can await in, so no network call, Command or lane can ever be held inside of one.

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

//! How the tables' files build their statements.

use bytes::Bytes;
use plexus_core::ids::{EventNid, NodeId, RoomNid, StateKeyNid, UserNid};

use crate::db::{Statement, Value};

/// A statement that may touch any number of rows.
pub(crate) fn statement<const N: usize>(sql: &'static str, params: [Value; N]) -> Statement {
    Statement {
        sql,
        params: params.into_iter().collect(),
        expected_rows: None,
    }
}

/// A statement that must touch exactly one row: another number means that the change set was decided on something that is not so.
pub(crate) fn one_row<const N: usize>(sql: &'static str, params: [Value; N]) -> Statement {
    Statement {
        expected_rows: Some(1),
        ..statement(sql, params)
    }
}

/// TEXT.
pub(crate) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// TEXT, or NULL.
pub(crate) fn opt_text(value: Option<&str>) -> Value {
    value.map_or(Value::Null, text)
}

/// BYTEA.
pub(crate) fn bytes(value: &[u8]) -> Value {
    Value::Bytes(Bytes::copy_from_slice(value))
}

/// BYTEA, or NULL.
pub(crate) fn opt_bytes(value: Option<&[u8]>) -> Value {
    value.map_or(Value::Null, bytes)
}

/// BIGINT, or NULL.
pub(crate) fn opt_int(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Int)
}

/// Anything that the database holds as one BIGINT.
pub(crate) trait Int {
    /// The number.
    fn int(self) -> Value;
}

impl Int for i64 {
    fn int(self) -> Value {
        Value::Int(self)
    }
}

impl Int for RoomNid {
    fn int(self) -> Value {
        Value::Int(self.0)
    }
}

impl Int for UserNid {
    fn int(self) -> Value {
        Value::Int(self.0)
    }
}

impl Int for EventNid {
    fn int(self) -> Value {
        Value::Int(self.0)
    }
}

impl Int for StateKeyNid {
    fn int(self) -> Value {
        Value::Int(self.0)
    }
}

impl Int for NodeId {
    fn int(self) -> Value {
        Value::Int(self.0)
    }
}

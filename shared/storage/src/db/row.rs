//! What comes out of a query.

use bytes::Bytes;

use super::{DbError, Value, dialect};

/// One row of a result. Columns are read by index, in the order of the SELECT.
#[derive(Clone, Debug, PartialEq)]
pub struct DbRow {
    sql: &'static str,
    values: Box<[Value]>,
}

impl DbRow {
    pub(super) fn new(sql: &'static str, values: Box<[Value]>) -> Self {
        Self { sql, values }
    }

    /// A BIGINT.
    pub fn int(&self, index: usize) -> Result<i64, DbError> {
        self.opt_int(index)?.ok_or_else(|| self.wrong(index, "BIGINT"))
    }

    /// A BIGINT or NULL.
    pub fn opt_int(&self, index: usize) -> Result<Option<i64>, DbError> {
        match self.values.get(index) {
            Some(Value::Int(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.wrong(index, "BIGINT")),
        }
    }

    /// A BOOLEAN, which SQLite keeps as 0 or 1.
    pub fn bool(&self, index: usize) -> Result<bool, DbError> {
        match self.values.get(index) {
            Some(Value::Bool(value)) => Ok(*value),
            Some(Value::Int(value @ (0 | 1))) => Ok(*value == 1),
            _ => Err(self.wrong(index, "BOOLEAN")),
        }
    }

    /// A TEXT.
    pub fn text(&self, index: usize) -> Result<&str, DbError> {
        self.opt_text(index)?.ok_or_else(|| self.wrong(index, "TEXT"))
    }

    /// A TEXT or NULL.
    pub fn opt_text(&self, index: usize) -> Result<Option<&str>, DbError> {
        match self.values.get(index) {
            Some(Value::Text(value)) => Ok(Some(value)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.wrong(index, "TEXT")),
        }
    }

    /// A BYTEA.
    pub fn bytes(&self, index: usize) -> Result<Bytes, DbError> {
        self.opt_bytes(index)?.ok_or_else(|| self.wrong(index, "BYTEA"))
    }

    /// A BYTEA or NULL.
    pub fn opt_bytes(&self, index: usize) -> Result<Option<Bytes>, DbError> {
        match self.values.get(index) {
            Some(Value::Bytes(value)) => Ok(Some(value.clone())),
            Some(Value::Null) => Ok(None),
            _ => Err(self.wrong(index, "BYTEA")),
        }
    }

    fn wrong(&self, index: usize, wanted: &'static str) -> DbError {
        DbError::Column {
            statement: dialect::name(self.sql),
            index,
            wanted,
            found: self.values.get(index).map_or("no such column", Value::type_name),
        }
    }
}

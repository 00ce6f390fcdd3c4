//! Statements on one connection: prepared once, bound, run, read.

use std::collections::HashMap;

use bytes::Bytes;
use rusqlite::{
    Connection, ErrorCode,
    ffi::{SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE},
    types::{ToSql, ToSqlOutput, ValueRef},
    vtab::array::Array,
};

use super::{
    super::{DbError, DbRow, Rejection, Value, dialect},
    open::cause,
};

/// The prepared statements of one connection.
///
/// Not bounded by a number: keys are addresses of `&'static str`, so there are as many as the program has statements.
pub(super) struct Statements<'c> {
    connection: &'c Connection,
    prepared: HashMap<(usize, usize), rusqlite::Statement<'c>>,
}

impl<'c> Statements<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            prepared: HashMap::new(),
        }
    }

    /// Runs a statement that returns no rows; how many rows it touched comes back.
    pub(super) fn execute(&mut self, sql: &'static str, params: &[Value]) -> Result<u64, DbError> {
        let statement = self.bind(sql, params)?;
        let touched = statement.raw_execute().map_err(|error| rejected(sql, error))?;
        Ok(touched as u64)
    }

    /// Runs a statement and collects its rows.
    pub(super) fn query(&mut self, sql: &'static str, params: &[Value]) -> Result<Vec<DbRow>, DbError> {
        let statement = self.bind(sql, params)?;
        let columns = statement.column_count();
        let mut cursor = statement.raw_query();
        let mut rows = Vec::new();
        while let Some(row) = cursor.next().map_err(|error| rejected(sql, error))? {
            let values = (0..columns)
                .map(|index| {
                    let value = row.get_ref(index).map_err(|error| rejected(sql, error))?;
                    read(sql, index, value)
                })
                .collect::<Result<_, _>>()?;
            rows.push(DbRow::new(sql, values));
        }
        Ok(rows)
    }

    fn bind(&mut self, sql: &'static str, params: &[Value]) -> Result<&mut rusqlite::Statement<'c>, DbError> {
        let key = (sql.as_ptr().addr(), sql.len());
        if !self.prepared.contains_key(&key) {
            let text = dialect::for_sqlite(sql);
            let statement = self.connection.prepare(&text).map_err(|error| rejected(sql, error))?;
            self.prepared.insert(key, statement);
        }
        let statement = self.prepared.get_mut(&key).expect("inserted above");
        let wanted = statement.parameter_count();
        if wanted != params.len() {
            let error = rusqlite::Error::InvalidParameterCount(params.len(), wanted);
            return Err(rejected(sql, error));
        }
        for (index, value) in (1..).zip(params) {
            let bound = if let Value::Ints(values) = value {
                let list = values.iter().map(|value| (*value).into()).collect();
                statement.raw_bind_parameter(index, Array::new(list))
            } else {
                statement.raw_bind_parameter(index, Parameter(value))
            };
            bound.map_err(|error| rejected(sql, error))?;
        }
        Ok(statement)
    }
}

struct Parameter<'a>(&'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Int(value) => ToSqlOutput::Borrowed(ValueRef::Integer(*value)),
            Value::Bool(value) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*value))),
            Value::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Value::Bytes(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
            // A list is bound as a pointer instead; a sequence must have been given by now.
            value @ (Value::Ints(_) | Value::SequenceOf(_)) => {
                let why = format!("{} cannot be bound", value.type_name()).into();
                return Err(rusqlite::Error::ToSqlConversionFailure(why));
            }
        })
    }
}

fn read(sql: &'static str, index: usize, value: ValueRef<'_>) -> Result<Value, DbError> {
    let wrong = |found| DbError::Column {
        statement: dialect::name(sql),
        index,
        wanted: "a type of the subset",
        found,
    };
    match value {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(value) => Ok(Value::Int(value)),
        ValueRef::Text(value) => match std::str::from_utf8(value) {
            Ok(text) => Ok(Value::Text(text.to_owned())),
            Err(_) => Err(wrong("TEXT that is not UTF-8")),
        },
        ValueRef::Blob(value) => Ok(Value::Bytes(Bytes::copy_from_slice(value))),
        ValueRef::Real(_) => Err(wrong("REAL")),
    }
}

/// Names the statement in an error of the engine.
pub(super) fn rejected(sql: &'static str, error: rusqlite::Error) -> DbError {
    let rejection = match error.sqlite_error().map(|e| (e.code, e.extended_code)) {
        Some((_, SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY)) => Rejection::Unique,
        Some((_, SQLITE_CONSTRAINT_FOREIGNKEY)) => Rejection::ForeignKey,
        Some((ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _)) => Rejection::Conflict,
        _ => Rejection::Other,
    };
    DbError::Rejected {
        statement: dialect::name(sql),
        rejection,
        cause: cause(error),
    }
}

//! Values in PostgreSQL's binary format.

use bytes::{Bytes, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::super::{DbError, DbRow, Value, dialect};

type Refused = Box<dyn std::error::Error + Sync + Send>;

/// A value in the type the server inferred for its place.
#[derive(Debug)]
pub(super) struct Parameter<'a>(pub(super) &'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, place: &Type, out: &mut BytesMut) -> Result<IsNull, Refused> {
        match (self.0, place) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Int(value), &Type::INT8) => value.to_sql(place, out),
            (Value::Int(value), &Type::INT4) => i32::try_from(*value)?.to_sql(place, out),
            (Value::Bool(value), &Type::BOOL) => value.to_sql(place, out),
            (Value::Text(value), &Type::TEXT | &Type::VARCHAR | &Type::NAME) => value.to_sql(place, out),
            (Value::Bytes(value), &Type::BYTEA) => value.as_ref().to_sql(place, out),
            (Value::Ints(values), &Type::INT8_ARRAY) => values.to_sql(place, out),
            (value, place) => Err(format!("{} where {place} belongs", value.type_name()).into()),
        }
    }

    // Whether it fits depends on the value; `to_sql` tells.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A row as values.
pub(super) fn read_row(sql: &'static str, row: &tokio_postgres::Row) -> Result<DbRow, DbError> {
    let values = (0..row.len())
        .map(|index| read(row, index).map_err(|found| wrong(sql, index, found)))
        .collect::<Result<_, _>>()?;
    Ok(DbRow::new(sql, values))
}

fn read(row: &tokio_postgres::Row, index: usize) -> Result<Value, &'static str> {
    let unreadable = |_| "unreadable";
    let place = row.columns()[index].type_();
    Ok(match *place {
        Type::INT8 => row.try_get::<_, Option<i64>>(index).map_err(unreadable)?.into(),
        Type::INT4 => {
            let value: Option<i32> = row.try_get(index).map_err(unreadable)?;
            value.map(i64::from).into()
        }
        Type::BOOL => row.try_get::<_, Option<bool>>(index).map_err(unreadable)?.into(),
        Type::TEXT | Type::VARCHAR | Type::NAME => row.try_get::<_, Option<&str>>(index).map_err(unreadable)?.into(),
        Type::BYTEA => {
            let value: Option<&[u8]> = row.try_get(index).map_err(unreadable)?;
            value.map(Bytes::copy_from_slice).into()
        }
        _ => return Err("a type outside of the subset (CAST it)"),
    })
}

fn wrong(sql: &'static str, index: usize, found: &'static str) -> DbError {
    DbError::Column {
        statement: dialect::name(sql),
        index,
        wanted: "a type of the subset",
        found,
    }
}

//! Table `derived`: how far what is derived from the log has come. Free: whoever derives moves it, and only from where he found it.

use plexus_core::position::{Sequence, WriterId};

use crate::{
    StoreError,
    db::{Database, Statement, Value},
    log,
    sql::{Int as _, statement, text},
};

/// How far something has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The place in the log to go on from.
    pub position: Sequence,
    /// The last number gone through of what was there before; none once all of it has been.
    pub scanned: Option<i64>,
}

/// How far it has come. What has never begun begins: with all that is there, and with the log from now on.
pub async fn cursor(db: &Database, name: &str) -> Result<Cursor, StoreError> {
    if let Some(cursor) = get(db, name).await? {
        return Ok(cursor);
    }
    let head = log::head(db, WriterId::MASTER).await?.map_or(0, |head| head.position);
    let sql = "-- derived::insert
        INSERT INTO derived (name, position, scanned) VALUES ($1, $2, -1) ON CONFLICT (name) DO NOTHING";
    db.execute(statement(sql, [text(name), head.int()])).await?;
    let begun = Cursor {
        position: head,
        scanned: Some(-1),
    };
    Ok(get(db, name).await?.unwrap_or(begun))
}

async fn get(db: &Database, name: &str) -> Result<Option<Cursor>, StoreError> {
    let sql = "-- derived::cursor
        SELECT position, scanned FROM derived WHERE name = $1";
    let Some(row) = db.query_opt(sql, &[text(name)]).await? else {
        return Ok(None);
    };
    Ok(Some(Cursor {
        position: row.int(0)?,
        scanned: row.opt_int(1)?,
    }))
}

/// Moves on together with what was derived. False if somebody else has moved on from there before: nothing is written then.
pub async fn advance(
    db: &Database,
    name: &str,
    from: Cursor,
    to: Cursor,
    derived: Vec<Statement>,
) -> Result<bool, StoreError> {
    let sql = "-- derived::advance
        UPDATE derived SET position = $2, scanned = $3 WHERE name = $1 AND position = $4 AND COALESCE(scanned, -2) = $5";
    let params = [
        text(name),
        to.position.int(),
        to.scanned.map_or(Value::Null, Value::Int),
        from.position.int(),
        from.scanned.unwrap_or(-2).int(),
    ];
    let mut statements = vec![Statement::new(sql, params).expecting(1)];
    statements.extend(derived);
    match db.transaction(statements).await {
        Ok(_) => Ok(true),
        Err(error) => match get(db, name).await? {
            Some(now) if now == from => Err(error.into()),
            _ => Ok(false),
        },
    }
}

/// Forgets how far it has come, together with what was derived: it begins anew.
pub async fn restart(db: &Database, name: &str, mut forget: Vec<Statement>) -> Result<(), StoreError> {
    let sql = "-- derived::restart
        DELETE FROM derived WHERE name = $1";
    forget.push(statement(sql, [text(name)]));
    db.transaction(forget).await?;
    Ok(())
}

/// The numbers of events after one, in order.
pub async fn events_after(db: &Database, after: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
    let sql = "-- derived::events_after
        SELECT event_nid FROM events WHERE event_nid > $1 ORDER BY event_nid LIMIT $2";
    numbers(db, sql, after, limit).await
}

/// The numbers of users after one, in order.
pub async fn users_after(db: &Database, after: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
    let sql = "-- derived::users_after
        SELECT user_nid FROM users WHERE user_nid > $1 ORDER BY user_nid LIMIT $2";
    numbers(db, sql, after, limit).await
}

async fn numbers(db: &Database, sql: &'static str, after: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
    let rows = db.query(sql, &[after.int(), limit.int()]).await?;
    rows.iter().map(|row| Ok(row.int(0)?)).collect()
}

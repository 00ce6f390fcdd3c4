//! Facts about this database. Free; rarely written.

use crate::db::{Database, DbError, Statement};

/// The server name all data belongs to.
pub const SERVER_NAME: &str = "server_name";
/// The generation of the tokens given out: changes on restore, copy and import.
pub const GENERATION: &str = "generation";

/// The key that this server signs with: its id, and its public half.
pub const SIGNING_KEY: &str = "signing_key";

/// A fact, if it is known.
pub async fn get(db: &Database, name: &str) -> Result<Option<String>, DbError> {
    let sql = "-- facts::get\nSELECT value FROM facts WHERE name = $1";
    let row = db.query_opt(sql, &[name.into()]).await?;
    row.map(|row| row.text(0).map(str::to_owned)).transpose()
}

/// States a fact unless it is known already. What is known afterwards comes back, the same for everybody who tries at once.
pub async fn get_or_insert(db: &Database, name: &str, value: &str) -> Result<String, DbError> {
    if let Some(known) = get(db, name).await? {
        return Ok(known);
    }
    let sql = "-- facts::insert\nINSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    db.execute(Statement::new(sql, [name.into(), value.into()])).await?;
    Ok(get(db, name).await?.unwrap_or_else(|| value.to_owned()))
}

/// Changes a fact: for tools that restore, copy or import.
pub async fn set(db: &Database, name: &str, value: &str) -> Result<(), DbError> {
    let sql = "-- facts::set\nINSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    db.execute(Statement::new(sql, [name.into(), value.into()])).await?;
    Ok(())
}

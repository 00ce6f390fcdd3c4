//! The processes of this deployment, each row renewed by its own process. Free.

use crate::db::{Database, DbError, DbRow, Statement};

/// Most processes a listing names; a deployment has tens.
const LIST_MAX: i64 = 1000;

/// A process that has announced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its name, unique in the deployment.
    pub name: String,
    /// Its roles, joined by `,`.
    pub roles: String,
    /// Where its internal listener is: `host:port`.
    pub internal_address: String,
    /// How many row kinds of the log it knows.
    pub rows_known: i64,
    /// Where it is on the log, as text.
    pub position: String,
}

/// Announces a process, or renews it. The entry disappears `ttl_ms` later unless it is renewed.
pub async fn announce(db: &Database, process: &Process, ttl_ms: i64) -> Result<(), DbError> {
    let sql = "-- processes::announce\n\
        INSERT INTO processes (name, roles, internal_address, rows_known, position, expires_ms) VALUES ($1, $2, $3, $4, $5, now_ms() + $6)\n\
        ON CONFLICT (name) DO UPDATE SET roles = excluded.roles, internal_address = excluded.internal_address,\n\
        rows_known = excluded.rows_known, position = excluded.position, expires_ms = excluded.expires_ms";
    let params = [
        process.name.as_str().into(),
        process.roles.as_str().into(),
        process.internal_address.as_str().into(),
        process.rows_known.into(),
        process.position.as_str().into(),
        ttl_ms.into(),
    ];
    db.execute(Statement::new(sql, params)).await?;
    Ok(())
}

/// Takes a process that ends in good order out of the registry.
pub async fn withdraw(db: &Database, name: &str) -> Result<(), DbError> {
    let sql = "-- processes::withdraw\nDELETE FROM processes WHERE name = $1";
    db.execute(Statement::new(sql, [name.into()])).await?;
    Ok(())
}

/// Every process that is alive as far as the registry knows, by name.
pub async fn list(db: &Database) -> Result<Vec<Process>, DbError> {
    let sql = "-- processes::list\n\
        SELECT name, roles, internal_address, rows_known, position FROM processes WHERE expires_ms > now_ms() ORDER BY name LIMIT $1";
    let rows = db.query(sql, &[LIST_MAX.into()]).await?;
    rows.iter().map(read).collect()
}

fn read(row: &DbRow) -> Result<Process, DbError> {
    Ok(Process {
        name: row.text(0)?.to_owned(),
        roles: row.text(1)?.to_owned(),
        internal_address: row.text(2)?.to_owned(),
        rows_known: row.int(3)?,
        position: row.text(4)?.to_owned(),
    })
}

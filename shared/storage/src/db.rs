//! One small database type over PostgreSQL and SQLite.
//!
//! There is one set of queries (DESIGN section 5 has the subset both engines share), written for PostgreSQL. A transaction is a list of
//! [`Statement`]s and not a scope one can await in, so no network call, Command or lane can ever be held inside of one.
//!
//! Two spellings of ours stand in the queries: `now_ms()` is the database's clock in milliseconds, and every statement begins with a comment that
//! names its function (`-- receipts::upsert`), under which it is measured and reported.

mod dialect;
mod error;
pub(crate) mod full_text;
mod migrate;
mod postgres;
mod row;
mod sqlite;
mod value;
mod writer;

use std::{path::PathBuf, sync::Arc, time::Instant};

pub use self::{
    error::{Cause, CommitError, DbError, Rejection},
    migrate::{Migrated, migrate, require_schema},
    row::DbRow,
    value::{Params, Statement, Value},
    writer::Writer,
};
use self::{postgres::Postgres, sqlite::Sqlite};
use crate::metrics::DB_SECONDS;

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseConfig {
    /// A file of one process.
    Sqlite {
        /// The database file. Its lock, write-ahead log and shared memory lie beside it.
        path: PathBuf,
    },
    /// A server that several processes share.
    Postgres {
        /// `postgres://user:password@host/database`.
        url: String,
        /// Most connections for reads and free writes. Each [`Writer`] has one of its own besides.
        pool_max: usize,
    },
}

/// Which engine a [`Database`] speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The embedded one.
    Sqlite,
    /// PostgreSQL 15 or later.
    Postgres,
}

/// An open database. Cheap to clone; the last clone closes it.
#[derive(Clone, Debug)]
pub struct Database(Arc<Inner>);

#[derive(Debug)]
enum Inner {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Database {
    /// Opens the database and checks that this program can work with it. Does not migrate it.
    ///
    /// Connections to PostgreSQL live on the runtime this is called on, whichever thread uses them later.
    pub async fn open(config: &DatabaseConfig) -> Result<Self, DbError> {
        let inner = match config {
            DatabaseConfig::Sqlite { path } => Inner::Sqlite(Sqlite::open(path.clone()).await?),
            DatabaseConfig::Postgres { url, pool_max } => Inner::Postgres(Postgres::open(url, *pool_max).await?),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// The engine behind it.
    pub fn engine(&self) -> Engine {
        match &*self.0 {
            Inner::Sqlite(_) => Engine::Sqlite,
            Inner::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs one reading statement. On a lost connection it is tried again, which is why it must not write.
    pub async fn query(&self, sql: &'static str, params: &[Value]) -> Result<Vec<DbRow>, DbError> {
        let started = Instant::now();
        let rows = match &*self.0 {
            Inner::Sqlite(sqlite) => sqlite.query(sql, params).await,
            Inner::Postgres(postgres) => postgres.query(sql, params).await,
        };
        measure(dialect::name(sql), started);
        rows
    }

    /// Like [`Database::query`], for at most one row. A second row is left unseen.
    pub async fn query_opt(&self, sql: &'static str, params: &[Value]) -> Result<Option<DbRow>, DbError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Writes to a free table: one statement, durable once it returns. The number of rows it touched comes back.
    pub async fn execute(&self, statement: Statement) -> Result<u64, DbError> {
        let name = dialect::name(statement.sql);
        let started = Instant::now();
        let rows = match &*self.0 {
            Inner::Postgres(postgres) if statement.expected_rows.is_none() => postgres.execute(statement).await,
            Inner::Sqlite(_) | Inner::Postgres(_) => {
                let rows = self.run(vec![statement]).await?;
                Ok(rows.into_iter().sum())
            }
        };
        measure(name, started);
        rows
    }

    /// Writes to free tables: all of the statements or none. The number of rows each touched comes back.
    ///
    /// A conflict with another transaction is tried again a few times. A wrong number of rows rolls back.
    pub async fn transaction(&self, statements: Vec<Statement>) -> Result<Vec<u64>, DbError> {
        let started = Instant::now();
        let rows = self.run(statements).await;
        measure("db::transaction", started);
        rows
    }

    /// A connection of one's own for the sequencer.
    pub async fn writer(&self) -> Result<Writer, DbError> {
        match &*self.0 {
            Inner::Sqlite(sqlite) => Ok(Writer::sqlite(sqlite.handle())),
            Inner::Postgres(postgres) => Writer::postgres(postgres.connector()).await,
        }
    }

    async fn run(&self, statements: Vec<Statement>) -> Result<Vec<u64>, DbError> {
        let rows = match &*self.0 {
            Inner::Sqlite(sqlite) => sqlite.handle().write(statements).await,
            Inner::Postgres(postgres) => postgres.transaction(statements).await,
        };
        rows.map_err(DbError::from)
    }
}

/// The database's clock, in milliseconds since the epoch: the one clock all processes of a deployment share.
pub async fn now_ms(db: &Database) -> Result<i64, DbError> {
    let rows = db.query("-- db::now_ms\nSELECT now_ms()", &[]).await?;
    match rows.first() {
        Some(row) => row.int(0),
        None => Err(DbError::Unsuitable("it does not tell the time".to_owned())),
    }
}

fn measure(name: &'static str, started: Instant) {
    metrics::histogram!(DB_SECONDS, "name" => name).record(started.elapsed());
}

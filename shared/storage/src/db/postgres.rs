//! PostgreSQL: a pool for reads and free writes, and sessions of their own for writers.

mod connect;
mod parameter;
mod transaction;

use std::{pin::pin, time::Duration};

use deadpool_postgres::{ClientWrapper, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures_util::TryStreamExt;
use tokio::runtime::Handle;
use tokio_postgres::error::Severity;

pub(super) use self::{
    connect::{Connector, Session},
    transaction::commit,
};
use self::{
    parameter::{Parameter, read_row},
    transaction::{after_commit, is_retryable, lost_connection, run_once},
};
use super::{CommitError, DbError, DbRow, Rejection, Statement, Value, dialect};

/// How long a caller waits for a free connection before he gets an error.
const POOL_WAIT: Duration = Duration::from_secs(10);
/// How long the pool tries to connect.
const POOL_CONNECT: Duration = Duration::from_secs(5);
/// How often a read, or a transaction that was rolled back by a conflict, is tried in all.
const ATTEMPTS: usize = 4;
/// The oldest server whose SQL we use.
const OLDEST_VERSION: i64 = 150_000;

/// An open PostgreSQL database.
#[derive(Debug)]
pub(super) struct Postgres {
    pool: Pool,
    connector: Connector,
    runtime: Handle,
}

impl Postgres {
    /// Connects, and checks that the server and the database are such that results do not depend on them.
    pub(super) async fn open(url: &str, pool_max: usize) -> Result<Self, DbError> {
        let runtime = Handle::current();
        let connector = Connector::new(url, runtime.clone())?;
        let config = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_connect(connector.settings(), connector.clone(), config);
        let pool = Pool::builder(manager)
            .max_size(pool_max)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(POOL_WAIT))
            .create_timeout(Some(POOL_CONNECT))
            .build()
            .map_err(|error| DbError::Unsuitable(error.to_string()))?;
        let postgres = Self {
            pool,
            connector,
            runtime,
        };
        postgres.check().await?;
        Ok(postgres)
    }

    /// Connects more sessions to the same database.
    pub(super) fn connector(&self) -> Connector {
        self.connector.clone()
    }

    /// Runs one reading statement, again if the connection is lost.
    pub(super) async fn query(&self, sql: &'static str, params: &[Value]) -> Result<Vec<DbRow>, DbError> {
        let mut attempt = 1;
        loop {
            let client = self.client().await?;
            match query_on(&client, sql, params).await {
                Err(DbError::Unavailable(_)) if attempt < ATTEMPTS => {
                    drop(Object::take(client));
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Runs one writing statement, again after a conflict.
    pub(super) async fn execute(&self, statement: Statement) -> Result<u64, DbError> {
        let mut attempt = 1;
        loop {
            let client = self.client().await?;
            let result = execute_on(&client, &statement).await;
            if lost_connection(&result) {
                drop(Object::take(client));
            }
            match result {
                Err(error) if attempt < ATTEMPTS && is_retryable(&error) => attempt += 1,
                result => return result.map_err(DbError::from),
            }
        }
    }

    /// Runs a list of statements, all or none, again after a conflict.
    ///
    /// In a task of its own: a caller that goes away must not leave a connection inside of a transaction.
    pub(super) async fn transaction(&self, statements: Vec<Statement>) -> Result<Vec<u64>, CommitError> {
        let pool = self.pool.clone();
        let task = self.runtime.spawn(async move {
            let mut attempt = 1;
            loop {
                let client = pool.get().await.map_err(|error| no_client(&error))?;
                let result = run_once(&client, &mut transaction::Prepared::new(), &statements).await;
                if lost_connection(&result) {
                    drop(Object::take(client));
                }
                match result {
                    Err(error) if attempt < ATTEMPTS && is_retryable(&error) => attempt += 1,
                    result => return result,
                }
            }
        });
        task.await
            .map_err(|error| CommitError::Unknown(DbError::unavailable(&error.to_string())))?
    }

    async fn client(&self) -> Result<Object, DbError> {
        self.pool.get().await.map_err(|error| no_client(&error))
    }

    async fn check(&self) -> Result<(), DbError> {
        let sql = "-- postgres::check\n\
             SELECT CAST(current_setting('server_version_num') AS BIGINT), CAST(datcollate AS TEXT), CAST(pg_encoding_to_char(encoding) AS TEXT)\n\
             FROM pg_database WHERE datname = current_database()";
        let rows = self.query(sql, &[]).await?;
        let [row] = rows.as_slice() else {
            return Err(DbError::Unsuitable("it does not know itself".to_owned()));
        };
        let (version, collation, encoding) = (row.int(0)?, row.text(1)?, row.text(2)?);
        if version < OLDEST_VERSION {
            return Err(DbError::Unsuitable(format!(
                "PostgreSQL {} is too old: 15 or later is needed",
                version / 10_000
            )));
        }
        if !["C", "POSIX", "C.UTF-8", "C.utf8"].contains(&collation) || encoding != "UTF8" {
            return Err(DbError::Unsuitable(format!(
                "its collation is {collation} and its encoding {encoding}, and must be C and UTF8: \
                 CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
            )));
        }
        Ok(())
    }
}

async fn query_on(client: &ClientWrapper, sql: &'static str, params: &[Value]) -> Result<Vec<DbRow>, DbError> {
    let prepared = prepare(client, sql).await?;
    let rows = client.query_raw(&prepared, params.iter().map(Parameter)).await;
    let mut rows = pin!(rows.map_err(|error| rejected(sql, error))?);
    let mut read = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(|error| rejected(sql, error))? {
        read.push(read_row(sql, &row)?);
    }
    Ok(read)
}

async fn execute_on(client: &ClientWrapper, statement: &Statement) -> Result<u64, CommitError> {
    let prepared = prepare(client, statement.sql).await?;
    let touched = client
        .execute_raw(&prepared, statement.params.iter().map(Parameter))
        .await;
    // It was sent, and commits by itself.
    touched.map_err(|error| after_commit(statement.sql, error))
}

async fn prepare(client: &ClientWrapper, sql: &'static str) -> Result<tokio_postgres::Statement, DbError> {
    client
        .prepare_cached(&dialect::for_postgres(sql))
        .await
        .map_err(|error| rejected(sql, error))
}

/// Tells a lost connection from a refused statement, and names the statement.
fn rejected(sql: &'static str, error: tokio_postgres::Error) -> DbError {
    use tokio_postgres::error::SqlState;
    if is_lost(&error) {
        return DbError::Unavailable(std::sync::Arc::new(error));
    }
    let rejection = match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => Rejection::Unique,
        Some(&SqlState::FOREIGN_KEY_VIOLATION) => Rejection::ForeignKey,
        Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED) => Rejection::Conflict,
        _ => Rejection::Other,
    };
    DbError::Rejected {
        statement: dialect::name(sql),
        rejection,
        cause: std::sync::Arc::new(Described(error)),
    }
}

/// Whether the connection is gone: closed, broken, or ended by the server.
fn is_lost(error: &tokio_postgres::Error) -> bool {
    match error.as_db_error() {
        Some(refused) => !matches!(refused.parsed_severity(), Some(Severity::Error)),
        None => {
            error.is_closed()
                || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
        }
    }
}

fn no_client(error: &deadpool_postgres::PoolError) -> DbError {
    DbError::unavailable(&error.to_string())
}

/// The engine's error with what it says: by itself it only says "db error".
#[derive(Debug)]
struct Described(tokio_postgres::Error);

impl std::fmt::Display for Described {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_db_error() {
            // Not its detail, which quotes the row.
            Some(refused) => write!(f, "{} ({})", refused.message(), refused.code().code()),
            None => self.0.fmt(f),
        }
    }
}

impl std::error::Error for Described {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

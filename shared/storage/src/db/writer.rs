//! The sequencer's way into the database.

use std::time::Instant;

use super::{
    CommitError, DbError, Statement, measure,
    postgres::{Connector, Session},
    sqlite::WriteHandle,
};

/// A dedicated connection that commits lists of statements, one list at a time.
///
/// A commit that is dropped half way is rolled back, or was just about to be committed: the next one starts on a new connection.
#[derive(Debug)]
pub struct Writer(Inner);

#[derive(Debug)]
enum Inner {
    Sqlite(WriteHandle),
    Postgres {
        connector: Connector,
        /// None while a commit runs on it, and after one was dropped or lost it.
        session: Box<Option<Session>>,
    },
}

impl Writer {
    pub(super) fn sqlite(handle: WriteHandle) -> Self {
        Self(Inner::Sqlite(handle))
    }

    pub(super) async fn postgres(connector: Connector) -> Result<Self, DbError> {
        let session = Box::new(Some(Session::connect(&connector).await?));
        Ok(Self(Inner::Postgres { connector, session }))
    }

    /// Commits all of the statements, or none. On PostgreSQL that is two round trips: BEGIN with every statement, and COMMIT.
    ///
    /// Conflicts, and connections lost before COMMIT was sent, are tried again a few times.
    pub async fn commit(&mut self, statements: Vec<Statement>) -> Result<(), CommitError> {
        let started = Instant::now();
        let result = match &mut self.0 {
            Inner::Sqlite(handle) => handle.write(statements).await,
            Inner::Postgres { connector, session } => super::postgres::commit(connector, session, &statements).await,
        };
        measure("db::writer_commit", started);
        result.map(|_rows| ())
    }
}

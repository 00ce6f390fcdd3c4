//! What can go wrong with the database.

use std::{path::PathBuf, sync::Arc};

/// The engine's own error. Shared, because one failed load may have many waiters.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// An error of the database.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DbError {
    /// There is no connection, or it was lost before anything was committed. Trying again later may work.
    #[error("the database is not available: {0}")]
    Unavailable(Cause),
    /// The engine refused a statement; its transaction is rolled back.
    #[error("the database refused {statement}: {cause}")]
    Rejected {
        /// The statement's name.
        statement: &'static str,
        /// Why, as far as a caller may care.
        rejection: Rejection,
        /// What the engine says.
        cause: Cause,
    },
    /// A statement touched a number of rows that means the transaction must not commit; it is rolled back.
    #[error("{sql} touched {actual} rows instead of {expected}; the transaction is rolled back")]
    Unexpected {
        /// The statement's place in the transaction.
        statement: usize,
        /// The statement's name.
        sql: &'static str,
        /// The rows it had to touch.
        expected: u64,
        /// The rows it touched.
        actual: u64,
    },
    /// The connection was lost while COMMIT was under way: nobody knows whether it happened.
    #[error("nobody knows whether the transaction was committed: {0}")]
    OutcomeUnknown(Arc<DbError>),
    /// A result does not have the shape the program expects.
    #[error("{statement}: column {index} should be {wanted} and is {found}")]
    Column {
        /// The statement's name.
        statement: &'static str,
        /// Which column, from 0.
        index: usize,
        /// The type asked for.
        wanted: &'static str,
        /// The type that is there.
        found: &'static str,
    },
    /// Another process has the SQLite file open.
    #[error("{} is in use by another process: only one process may open a SQLite database (several need PostgreSQL)", .0.display())]
    InUse(PathBuf),
    /// The file or server cannot be used for Plexus.
    #[error("the database cannot be used: {0}")]
    Unsuitable(String),
    /// The schema is older than this program needs.
    #[error("the database has schema {found} and this program needs {needed}: run `plexus db migrate`")]
    SchemaOlder {
        /// The version there is; 0 for an empty database.
        found: i64,
        /// The version this program needs.
        needed: i64,
    },
    /// The schema is newer than this program understands.
    #[error(
        "the database has schema {found}, which needs a program that knows schema {needed}; this one knows {known}: upgrade it"
    )]
    SchemaNewer {
        /// The version there is.
        found: i64,
        /// The oldest version whose program may still run.
        needed: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// A migration was altered after the database went through it.
    #[error(
        "the database went through another form of migration {version} than this program has: it is of a version that was never released, or was altered"
    )]
    SchemaAltered {
        /// Which one.
        version: i64,
    },
}

/// Why a statement was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// A row with that key is there already.
    Unique,
    /// It refers to a row that is not there.
    ForeignKey,
    /// It lost against a concurrent transaction. The database layer has tried again already.
    Conflict,
    /// Anything else.
    Other,
}

impl DbError {
    /// Whether a row with that key was there already.
    pub fn is_unique_violation(&self) -> bool {
        matches!(
            self,
            Self::Rejected {
                rejection: Rejection::Unique,
                ..
            }
        )
    }

    /// Whether a later attempt may work without anything being repaired in between.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_)
                | Self::OutcomeUnknown(_)
                | Self::Rejected {
                    rejection: Rejection::Conflict,
                    ..
                }
        )
    }

    pub(super) fn unavailable(why: &str) -> Self {
        Self::Unavailable(Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(why)))
    }
}

/// Why a [`super::Writer`]'s transaction did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// It is rolled back.
    #[error(transparent)]
    Failed(#[from] DbError),
    /// A statement touched another number of rows than it must. It is rolled back.
    #[error("statement {statement} ({sql}) touched {actual} rows instead of {expected}; rolled back")]
    Unexpected {
        /// The statement's place in the list.
        statement: usize,
        /// The statement's name.
        sql: &'static str,
        /// The rows it had to touch.
        expected: u64,
        /// The rows it touched.
        actual: u64,
    },
    /// The connection was lost while COMMIT was under way: look at the head of the log before anything else.
    #[error("nobody knows whether the transaction was committed: {0}")]
    Unknown(DbError),
}

impl From<CommitError> for DbError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Failed(error) => error,
            CommitError::Unexpected {
                statement,
                sql,
                expected,
                actual,
            } => Self::Unexpected {
                statement,
                sql,
                expected,
                actual,
            },
            CommitError::Unknown(error) => Self::OutcomeUnknown(Arc::new(error)),
        }
    }
}

/// Holds a statement to the number of rows it must touch.
pub(super) fn check_rows(index: usize, statement: &super::Statement, actual: u64) -> Result<u64, CommitError> {
    match statement.expected_rows {
        Some(expected) if expected != actual => Err(CommitError::Unexpected {
            statement: index,
            sql: super::dialect::name(statement.sql),
            expected,
            actual,
        }),
        _ => Ok(actual),
    }
}

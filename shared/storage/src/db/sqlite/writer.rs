//! The thread that writes: group commit.

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    super::{CommitError, DbError, Statement, error::check_rows},
    closed,
    connection::Statements,
};
use crate::metrics::DB_GROUP_JOBS;

/// Jobs that may wait for the thread; a further one waits for a place.
pub(super) const JOBS_MAX: usize = 1024;
/// Most jobs in one transaction.
const GROUP_MAX: usize = 256;

type Outcome = Result<Vec<u64>, CommitError>;

/// What the writing thread is asked to do.
pub(super) enum Job {
    /// A list of statements, all or none, in a transaction it may share with other lists.
    Write(Write),
    /// Something that needs the connection for itself.
    Alone(Box<dyn FnOnce(&Connection) + Send>),
}

pub(super) struct Write {
    statements: Vec<Statement>,
    answer: oneshot::Sender<Outcome>,
}

/// A way to the writing thread.
#[derive(Clone, Debug)]
pub(in crate::db) struct WriteHandle(mpsc::Sender<Job>);

impl WriteHandle {
    pub(super) fn new(jobs: mpsc::Sender<Job>) -> Self {
        Self(jobs)
    }

    /// Hands over a list and waits until it is durable or refused. It is carried out even when the caller goes away.
    pub(in crate::db) async fn write(&self, statements: Vec<Statement>) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let job = Job::Write(Write { statements, answer });
        self.0.send(job).await.map_err(|_| closed())?;
        // The thread ends only when nobody can ask it any more, so a lost answer is a panic there: anything may have happened.
        answered.await.map_err(|_| CommitError::Unknown(closed()))?
    }

    /// Runs `work` on the writing connection, outside of any transaction.
    pub(in crate::db) async fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> Result<T, DbError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Alone(Box::new(move |connection| drop(answer.send(work(connection)))));
        self.0.send(job).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())
    }
}

/// What the writing thread does until nobody can ask it any more.
pub(super) fn run(connection: &Connection, mut jobs: mpsc::Receiver<Job>) {
    let mut statements = Statements::new(connection);
    let mut next = jobs.blocking_recv();
    while let Some(job) = next.take() {
        match job {
            Job::Alone(work) => work(connection),
            Job::Write(first) => {
                let mut group = vec![first];
                while group.len() < GROUP_MAX {
                    match jobs.try_recv() {
                        Ok(Job::Write(write)) => group.push(write),
                        Ok(alone @ Job::Alone(_)) => {
                            next = Some(alone);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                commit_group(connection, &mut statements, group);
            }
        }
        if next.is_none() {
            next = jobs.blocking_recv();
        }
    }
}

/// Runs every job in one transaction and answers them once it is durable.
fn commit_group(connection: &Connection, statements: &mut Statements<'_>, group: Vec<Write>) {
    metrics::histogram!(DB_GROUP_JOBS).record(u32::try_from(group.len()).unwrap_or(u32::MAX));
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(group.len());
    match statements.execute("-- db::begin\nBEGIN IMMEDIATE", &[]) {
        Ok(_) => {
            let shared = group.len() > 1;
            outcomes.extend(group.iter().map(|job| run_job(connection, statements, job, shared)));
            end(connection, statements, &mut outcomes);
        }
        Err(error) => outcomes.resize(group.len(), Err(CommitError::Failed(error))),
    }
    for (job, outcome) in group.into_iter().zip(outcomes) {
        // Whoever asked may be gone; what he asked for stands all the same.
        drop(job.answer.send(outcome));
    }
}

/// Runs one job. In a transaction shared with others, a failing one is undone alone.
fn run_job(connection: &Connection, statements: &mut Statements<'_>, job: &Write, shared: bool) -> Outcome {
    if connection.is_autocommit() {
        // An error of another job (a full disk) ended the transaction of all.
        return Err(DbError::unavailable("an earlier error ended the transaction").into());
    }
    let undoable = shared && !is_atomic(&job.statements);
    if undoable {
        statements.execute("-- db::savepoint\nSAVEPOINT job", &[])?;
    }
    let outcome = run_statements(statements, &job.statements);
    if undoable && !connection.is_autocommit() {
        if outcome.is_err() {
            statements.execute("-- db::undo\nROLLBACK TO job", &[])?;
        }
        statements.execute("-- db::release\nRELEASE job", &[])?;
    }
    outcome
}

/// A single statement that fails has changed nothing, unless it is its row count that is wrong.
fn is_atomic(statements: &[Statement]) -> bool {
    matches!(
        statements,
        [Statement {
            expected_rows: None,
            ..
        }]
    )
}

fn run_statements(connection: &mut Statements<'_>, statements: &[Statement]) -> Outcome {
    let run = |(index, statement): (usize, &Statement)| {
        let touched = connection.execute(statement.sql, &statement.params)?;
        check_rows(index, statement, touched)
    };
    statements.iter().enumerate().map(run).collect()
}

/// Commits what succeeded, or rolls back when nothing did.
fn end(connection: &Connection, statements: &mut Statements<'_>, outcomes: &mut [Outcome]) {
    if connection.is_autocommit() {
        let error = DbError::unavailable("the transaction was ended by an error of the engine");
        fail(outcomes, &CommitError::Failed(error));
        return;
    }
    if outcomes.iter().all(Result::is_err) {
        if let Err(error) = statements.execute("-- db::rollback\nROLLBACK", &[]) {
            tracing::error!(%error, "rollback failed");
        }
        return;
    }
    if let Err(error) = statements.execute("-- db::commit\nCOMMIT", &[]) {
        tracing::error!(%error, "commit failed");
        // A write-ahead log that could not be synced may still turn out whole after a restart.
        fail(outcomes, &CommitError::Unknown(error));
        if !connection.is_autocommit()
            && let Err(error) = statements.execute("-- db::rollback\nROLLBACK", &[])
        {
            tracing::error!(%error, "rollback failed");
        }
    }
}

fn fail(outcomes: &mut [Outcome], error: &CommitError) {
    for outcome in outcomes {
        if outcome.is_ok() {
            *outcome = Err(error.clone());
        }
    }
}

//! A list of statements as one transaction, in two round trips.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use deadpool_postgres::ClientWrapper;
use futures_util::future::maybe_done;

use super::{
    super::{CommitError, DbError, Rejection, Statement, error::check_rows},
    ATTEMPTS,
    connect::{Connector, Session},
    parameter::Parameter,
    prepare, rejected,
};

const BEGIN: &str = "-- db::begin\nBEGIN ISOLATION LEVEL REPEATABLE READ";
const COMMIT: &str = "-- db::commit\nCOMMIT";
const ROLLBACK: &str = "-- db::rollback\nROLLBACK";

type Outcome<T> = Result<T, CommitError>;

/// The statements prepared on one connection.
///
/// Not bounded by a number: keys are addresses of `&'static str`, so there are as many as the program has statements.
pub(in crate::db) type Prepared = HashMap<(usize, usize), tokio_postgres::Statement>;

/// Runs a list on a writer's session, which is made anew when there is none. A commit that is dropped half way leaves none.
pub(in crate::db) async fn commit(
    connector: &Connector,
    slot: &mut Option<Session>,
    statements: &[Statement],
) -> Outcome<Vec<u64>> {
    let mut attempt = 1;
    loop {
        let mut session = match slot.take() {
            Some(session) if !session.client.is_closed() => session,
            _ => Session::connect(connector).await?,
        };
        let result = run_once(&session.client, &mut session.prepared, statements).await;
        if !lost_connection(&result) {
            *slot = Some(session);
        }
        match result {
            Err(error) if attempt < ATTEMPTS && is_retryable(&error) => attempt += 1,
            result => return result,
        }
    }
}

/// Whether nothing was committed and another attempt may well succeed.
pub(super) fn is_retryable(error: &CommitError) -> bool {
    matches!(
        error,
        CommitError::Failed(
            DbError::Unavailable(_)
                | DbError::Rejected {
                    rejection: Rejection::Conflict,
                    ..
                }
        )
    )
}

/// Whether the connection must not be used again.
pub(super) fn lost_connection<T>(result: &Outcome<T>) -> bool {
    matches!(
        result,
        Err(CommitError::Failed(DbError::Unavailable(_)) | CommitError::Unknown(_))
    )
}

/// What an error means once something was sent that commits: only a refusal says that nothing happened.
pub(super) fn after_commit(sql: &'static str, error: tokio_postgres::Error) -> CommitError {
    let is_lost = super::is_lost(&error);
    let error = rejected(sql, error);
    if is_lost {
        CommitError::Unknown(error)
    } else {
        CommitError::Failed(error)
    }
}

/// One attempt. Unless the connection is lost, it is outside of any transaction afterwards.
pub(super) async fn run_once(
    client: &ClientWrapper,
    prepared: &mut Prepared,
    statements: &[Statement],
) -> Outcome<Vec<u64>> {
    for statement in statements {
        if let Entry::Vacant(vacant) = prepared.entry(key(statement.sql)) {
            vacant.insert(prepare(client, statement.sql).await?);
        }
    }
    match run(client, prepared, statements).await {
        Ok(touched) => {
            client
                .batch_execute(COMMIT)
                .await
                .map_err(|error| after_commit(COMMIT, error))?;
            Ok(touched)
        }
        Err(error) => {
            if !lost_connection(&Err::<(), _>(error.clone())) {
                client
                    .batch_execute(ROLLBACK)
                    .await
                    .map_err(|error| DbError::Unavailable(std::sync::Arc::new(error)))?;
            }
            Err(error)
        }
    }
}

/// BEGIN and every statement, sent in one go; the results are checked in order.
async fn run(client: &ClientWrapper, prepared: &Prepared, statements: &[Statement]) -> Outcome<Vec<u64>> {
    let mut begin = pin!(maybe_done(client.batch_execute(BEGIN)));
    let mut running: Vec<_> = statements
        .iter()
        .map(|statement| {
            let params = statement.params.iter().map(Parameter);
            Box::pin(maybe_done(client.execute_raw(&prepared[&key(statement.sql)], params)))
        })
        .collect();
    // A statement is sent when it is first polled: all of them here, in order, before any answer is waited for.
    poll_fn(|context| {
        let _sent = begin.as_mut().poll(context);
        for statement in &mut running {
            let _sent = statement.as_mut().poll(context);
        }
        Poll::Ready(())
    })
    .await;
    begin.as_mut().await;
    let in_transaction = begin.as_mut().take_output().expect("awaited just before");
    in_transaction.map_err(|error| rejected(BEGIN, error))?;
    let mut touched = Vec::with_capacity(statements.len());
    for (index, (statement, mut running)) in statements.iter().zip(running).enumerate() {
        running.as_mut().await;
        let rows = running.as_mut().take_output().expect("awaited just before");
        let rows = rows.map_err(|error| rejected(statement.sql, error))?;
        touched.push(check_rows(index, statement, rows)?);
    }
    Ok(touched)
}

fn key(sql: &'static str) -> (usize, usize) {
    (sql.as_ptr().addr(), sql.len())
}

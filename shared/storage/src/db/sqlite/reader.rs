//! Threads that read, and the queue they share.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use super::{
    super::{DbError, DbRow, Params, Value},
    closed,
    connection::Statements,
};

/// Reads that may wait for a thread; a further one waits for a place.
const READS_MAX: usize = 1024;

/// Reads waiting for a thread.
#[derive(Debug)]
pub(super) struct ReadQueue {
    places: Semaphore,
    // A std Mutex: held for a push or a pop, never across an await.
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    reads: VecDeque<Read>,
    closed: bool,
}

#[derive(Debug)]
struct Read {
    sql: &'static str,
    params: Params,
    answer: oneshot::Sender<Result<Vec<DbRow>, DbError>>,
}

impl ReadQueue {
    pub(super) fn new() -> Self {
        Self {
            places: Semaphore::new(READS_MAX),
            waiting: Mutex::default(),
            arrived: Condvar::new(),
        }
    }

    /// Waits for a thread to run the statement.
    pub(super) async fn query(&self, sql: &'static str, params: &[Value]) -> Result<Vec<DbRow>, DbError> {
        let _place = self.places.acquire().await.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        let params = params.iter().cloned().collect();
        self.lock().reads.push_back(Read { sql, params, answer });
        self.arrived.notify_one();
        answered.await.map_err(|_| closed())?
    }

    /// Lets the threads end.
    pub(super) fn close(&self) {
        self.places.close();
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// The next read, or nothing once the queue is closed.
    fn next(&self) -> Option<Read> {
        let mut waiting = self.lock();
        loop {
            if let Some(read) = waiting.reads.pop_front() {
                return Some(read);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        // Nothing in here can panic half way through a change, so a poisoned lock still guards a whole queue.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a reading thread does until the queue is closed.
pub(super) fn run(connection: &Connection, queue: &ReadQueue) {
    let mut statements = Statements::new(connection);
    while let Some(read) = queue.next() {
        if !read.answer.is_closed() {
            let rows = statements.query(read.sql, &read.params);
            // Whoever asked may be gone; a read has no other effect.
            drop(read.answer.send(rows));
        }
    }
}

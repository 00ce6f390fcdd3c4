//! The embedded engine: one thread that writes, a few that read.
//!
//! Everything written goes through one thread, which puts all jobs that wait into one transaction (one fsync) with a savepoint around each, so that a
//! failing job is rolled back alone. A lock file beside the database keeps other processes out, and tells that whoever held a lease before is dead.

mod connection;
mod open;
mod reader;
mod writer;

use std::{path::PathBuf, sync::Arc};

use tokio::sync::{mpsc, oneshot};

pub(super) use self::writer::WriteHandle;
use self::{
    reader::ReadQueue,
    writer::{JOBS_MAX, Job},
};
use super::{DbError, DbRow, Value};

/// Threads that read. Reads are short, so more threads than cores only help while one waits for the disk.
const READERS: usize = 4;

/// An open SQLite database.
#[derive(Debug)]
pub(super) struct Sqlite {
    writer: mpsc::Sender<Job>,
    reads: Arc<ReadQueue>,
}

impl Sqlite {
    /// Opens or creates the file.
    pub(super) async fn open(path: PathBuf) -> Result<Self, DbError> {
        let (done, opened) = oneshot::channel();
        spawn_thread("db-open", move || drop(done.send(open::open(&path))))?;
        let open::Opened { lock, writer, readers } = opened.await.map_err(|_| closed())??;
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        spawn_thread("db-write", move || {
            writer::run(&writer, queue);
            // In this order: whoever gets the lock next must find the file closed.
            drop(writer);
            drop(lock);
        })?;
        let reads = Arc::new(ReadQueue::new());
        for reader in readers {
            let reads = Arc::clone(&reads);
            spawn_thread("db-read", move || reader::run(&reader, &reads))?;
        }
        Ok(Self { writer: jobs, reads })
    }

    /// Runs one reading statement on one of the reading threads.
    pub(super) async fn query(&self, sql: &'static str, params: &[Value]) -> Result<Vec<DbRow>, DbError> {
        self.reads.query(sql, params).await
    }

    /// A way to the writing thread.
    pub(super) fn handle(&self) -> WriteHandle {
        WriteHandle::new(self.writer.clone())
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.reads.close();
    }
}

fn spawn_thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), DbError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
        .map_err(|error| DbError::Unavailable(Arc::new(error)))
}

/// The thread that would answer is gone.
fn closed() -> DbError {
    DbError::unavailable("it is closed")
}

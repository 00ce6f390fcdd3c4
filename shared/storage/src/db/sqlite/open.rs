//! Opening the file: the lock, the settings, whose file it is.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, vtab::array};

use super::{
    super::{Cause, DbError},
    READERS,
};

/// "Plxs": marks the file as ours.
const APPLICATION_ID: i64 = 0x506c_7873;

/// How long a lock is waited for: whoever had it may just be closing.
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// How long one of our connections waits for another of ours.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages in the write-ahead log before the writer copies them into the database (16 MB): rare enough to cost little, small enough to be quick.
const CHECKPOINT_PAGES: i64 = 4000;
/// What is left of the write-ahead log after that, in bytes.
const WAL_KEEP_BYTES: i64 = 32 << 20;
/// Page caches in KiB (negative, as SQLite wants it): bounds what idle connections keep.
const WRITER_CACHE: i64 = -8192;
const READER_CACHE: i64 = -2048;

/// Read and write for the owner, nothing for others: the database holds what users say to each other.
#[cfg(unix)]
const MODE: u32 = 0o600;

/// A database whose file is ours alone.
pub(super) struct Opened {
    pub(super) lock: File,
    pub(super) writer: Connection,
    pub(super) readers: Vec<Connection>,
}

pub(super) fn open(path: &Path) -> Result<Opened, DbError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| unusable(path, &error))?;
    }
    let lock = lock(path)?;
    // SQLite gives the files it puts beside this one (-wal, -shm) the mode of this one.
    open_private(path).map_err(|error| unusable(path, &error))?;
    let writer = open_writer(path).map_err(|error| unusable(path, &error))?;
    claim(&writer, path)?;
    forget_the_dead(&writer).map_err(|error| unusable(path, &error))?;
    let readers = (0..READERS)
        .map(|_| open_reader(path))
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(path, &error))?;
    Ok(Opened { lock, writer, readers })
}

/// Locks `<path>.lock`. The system releases it when the process ends, however it ends.
#[expect(
    clippy::disallowed_methods,
    reason = "there is no blocking lock with a deadline, and this is a thread of its own"
)]
fn lock(path: &Path) -> Result<File, DbError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let file = open_private(&lock_path).map_err(|error| unusable(&lock_path, &error))?;
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_RETRY),
            Err(TryLockError::WouldBlock) => return Err(DbError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(unusable(&lock_path, &error)),
        }
    }
}

/// Opens a file, and makes it for its owner only if there is none; one that is there keeps its mode, which its owner may have chosen.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, MODE);
    options.open(path)
}

fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Durable when acknowledged: the write-ahead log is synced at every commit.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEEP_BYTES)?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    array::load_module(&connection)?;
    Ok(connection)
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", READER_CACHE)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    array::load_module(&connection)?;
    Ok(connection)
}

/// Refuses a file of another program, and marks a new one as ours.
fn claim(connection: &Connection, path: &Path) -> Result<(), DbError> {
    let read = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let id = read("PRAGMA application_id").map_err(|error| unusable(path, &error))?;
    let tables = read("SELECT count(*) FROM sqlite_schema").map_err(|error| unusable(path, &error))?;
    match (id, tables) {
        (APPLICATION_ID, _) => Ok(()),
        (0, 0) => connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(|error| unusable(path, &error)),
        _ => Err(DbError::Unsuitable(format!(
            "{} belongs to another program",
            path.display()
        ))),
    }
}

/// Whoever held a lease or a place in the registry is gone, because the lock is ours.
fn forget_the_dead(connection: &Connection) -> rusqlite::Result<()> {
    if connection.table_exists(None, "leases")? {
        connection.execute("UPDATE leases SET expires_ms = 0", [])?;
        connection.execute("DELETE FROM processes", [])?;
    }
    Ok(())
}

fn unusable(path: &Path, error: &(impl std::error::Error + ?Sized)) -> DbError {
    DbError::Unsuitable(format!("{}: {error}", path.display()))
}

/// Shares an error with everybody who waits for the same thing.
pub(super) fn cause(error: rusqlite::Error) -> Cause {
    Arc::new(error)
}

//! What is derived from the log in tables of its own: the user directory and the index of messages.
//!
//! Nothing on the way of a Command knows of it. Whoever leads goes on deriving in the background, and who searches derives the rest first, so that he finds
//! what was there when he asked. A cursor in the database moves together with what was derived; two who derive at the same time do not disturb each other.

use std::{fmt, sync::Arc, time::Duration};

use plexus_core::{
    position::{Sequence, WriterId},
    row::Row,
};
use plexus_replication::frames;
use plexus_storage::{
    db::Statement,
    derived::{self, Cursor},
    log, search, user_directory,
};
use tokio::{sync::Mutex, time::Instant};

use crate::{Ctx, ServiceError, rooms::access::now, search::index, users::directory};

/// Rows of the log, or numbers, that are gone through in one transaction. Few: commits of messages wait for it.
const BATCH_MAX: usize = 200;
/// Frames of the log that are read in one go.
const FRAMES_MAX: i64 = 64;
/// How often the background looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long nothing must have happened before messages are indexed in the background: not while it is busy.
const LULL: Duration = Duration::from_secs(2);
/// After how long they are indexed all the same.
const PUT_OFF_MAX: Duration = Duration::from_secs(60);
/// How long one background pass may take.
const PASS_MAX: Duration = Duration::from_secs(10);

/// What is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derived {
    UserDirectory,
    Search,
}

/// How far this process knows each to have come; whoever derives holds the lock, since a second one would only do the same.
#[derive(Clone, Default)]
pub struct Progress(Arc<[Mutex<Option<Cursor>>; 2]>);

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

impl Derived {
    const fn name(self) -> &'static str {
        match self {
            Self::UserDirectory => user_directory::NAME,
            Self::Search => search::NAME,
        }
    }

    async fn scan(self, ctx: &Ctx, after: i64) -> Result<Vec<i64>, ServiceError> {
        let (db, limit) = (ctx.store.db(), i64::try_from(BATCH_MAX).unwrap_or(i64::MAX));
        Ok(match self {
            Self::UserDirectory => derived::users_after(db, after, limit).await?,
            Self::Search => derived::events_after(db, after, limit).await?,
        })
    }

    async fn derive_scanned(self, ctx: &Ctx, found: &[i64]) -> Result<Vec<Statement>, ServiceError> {
        match self {
            Self::UserDirectory => directory::list_all(ctx, found).await,
            Self::Search => index::index_all(ctx, found).await,
        }
    }

    async fn derive_rows(self, ctx: &Ctx, rows: &[Row]) -> Result<Vec<Statement>, ServiceError> {
        match self {
            Self::UserDirectory => directory::follow(ctx, rows).await,
            Self::Search => index::follow(ctx, rows).await,
        }
    }
}

/// Derives all that this process has applied, or as much of it as can be done until the deadline. Whether that was all.
pub async fn catch_up(ctx: &Ctx, what: Derived, deadline: Instant) -> Result<bool, ServiceError> {
    let target = now(ctx);
    let mut known = ctx.derived.0[what as usize].lock().await;
    let is_done = |cursor: Cursor| cursor.scanned.is_none() && cursor.position >= target;
    if known.is_some_and(is_done) {
        return Ok(true);
    }
    loop {
        let cursor = derived::cursor(ctx.store.db(), what.name()).await?;
        *known = Some(cursor);
        if is_done(cursor) {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        step(ctx, what, cursor, target).await?;
    }
}

/// One batch: of what was there before, or else of the log.
async fn step(ctx: &Ctx, what: Derived, from: Cursor, target: Sequence) -> Result<(), ServiceError> {
    let (to, statements) = match from.scanned {
        Some(after) => {
            let found = what.scan(ctx, after).await?;
            let to = Cursor {
                scanned: found.last().filter(|_| found.len() == BATCH_MAX).copied(),
                ..from
            };
            (to, what.derive_scanned(ctx, &found).await?)
        }
        None => {
            if let Some((position, rows)) = rows_after(ctx, from.position, target).await? {
                (Cursor { position, ..from }, what.derive_rows(ctx, &rows).await?)
            } else {
                tracing::warn!(
                    derived = what.name(),
                    "the log no longer reaches back, deriving everything anew"
                );
                let anew = Cursor {
                    position: target,
                    scanned: Some(-1),
                };
                (anew, Vec::new())
            }
        }
    };
    derived::advance(ctx.store.db(), what.name(), from, to, statements).await?;
    Ok(())
}

/// The rows that follow a place, and where they lead; none if the log does not reach back so far.
async fn rows_after(
    ctx: &Ctx,
    after: Sequence,
    target: Sequence,
) -> Result<Option<(Sequence, Vec<Row>)>, ServiceError> {
    let stored = log::frames_after(ctx.store.db(), WriterId::MASTER, after, FRAMES_MAX)
        .await
        .map_err(ServiceError::internal)?;
    let (mut position, mut rows) = (after, Vec::new());
    for frame in stored {
        if frame.previous != position {
            break;
        }
        if frame.position > target || (!rows.is_empty() && rows.len() >= BATCH_MAX) {
            break;
        }
        let frame = frames::decode(frame.frame).map_err(ServiceError::internal)?;
        position = frame.position;
        rows.extend(Arc::unwrap_or_clone(frame).rows);
    }
    Ok((position > after).then_some((position, rows)))
}

/// Derives in the background while `leads` says that this process leads.
pub async fn run(ctx: Ctx, leads: impl Fn() -> bool + Send + Sync) {
    let (mut listed_to, mut indexed_to) = (None, None);
    let (mut seen, mut moved, mut put_off) = (0, Instant::now(), Instant::now());
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (at, clock) = (now(&ctx), Instant::now());
        if at != seen {
            (seen, moved) = (at, clock);
        }
        if !leads() {
            continue;
        }
        if listed_to != Some(at) && pass(&ctx, Derived::UserDirectory, clock + PASS_MAX).await {
            listed_to = Some(at);
        }
        if !ctx.config.social.search || indexed_to == Some(at) {
            put_off = clock;
            continue;
        }
        let is_time = clock >= moved + LULL || clock >= put_off + PUT_OFF_MAX;
        if is_time && pass(&ctx, Derived::Search, clock + PASS_MAX).await {
            (indexed_to, put_off) = (Some(at), Instant::now());
        }
    }
}

async fn pass(ctx: &Ctx, what: Derived, deadline: Instant) -> bool {
    match catch_up(ctx, what, deadline).await {
        Ok(is_whole) => is_whole,
        Err(error) => {
            tracing::warn!(%error, derived = what.name(), "cannot be derived, trying again");
            false
        }
    }
}

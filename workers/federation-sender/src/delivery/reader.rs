//! Follows the log and puts what other servers have to know into their queues.
//!
//! What is new is in memory. A process that comes late to a bucket reads the stored log; where that has been pruned already, every destination that is known
//! lags.

use std::sync::Arc;

use plexus_core::position::{Sequence, WriterId};
use plexus_replication::frames;
use plexus_service::ServiceError;
use plexus_storage::{OutgoingChange, delivery::Lag, log};
use ruma::OwnedServerName;
use tokio::time::{Duration, sleep, timeout};

use super::{
    board::bucket_of,
    passing::Moment,
    route::route,
    sender::{FAULT_WAIT, Sender},
};

/// Frames of the stored log that are read in one go.
const FRAMES_MAX: i64 = 256;
/// How often it is looked although nothing wakes: whoever types for long is told of again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Servers on one page of those that are known.
const PAGE: i64 = 1_000;

/// Follows the log and the ephemeral chain.
pub(super) async fn follow(sender: &Arc<Sender>) {
    let mut changed = sender.ctx().store.outgoing_changed();
    let mut moment = Moment::default();
    loop {
        changed.borrow_and_update();
        let done = async {
            read(sender).await?;
            moment.look(sender).await
        };
        if let Err(error) = done.await {
            tracing::warn!(%error, "what other servers have to know cannot be read");
            sleep(FAULT_WAIT).await;
        }
        tokio::select! {
            _ = timeout(LOOK_AGAIN, changed.changed()) => {}
            () = sender.woken() => {}
        }
    }
}

/// Reads up to where this process is.
async fn read(sender: &Arc<Sender>) -> Result<(), ServiceError> {
    let ctx = sender.ctx();
    loop {
        let head = ctx.replica.position().get(WriterId::MASTER);
        let Some(from) = sender.board().read_from().filter(|from| *from < head) else {
            return Ok(());
        };
        let (changes, up_to) = match ctx.store.outgoing_between(from, head) {
            Some(changes) => (changes, head),
            None => stored(sender, from, head).await?,
        };
        for (position, change) in &changes {
            route(sender, *position, change).await?;
        }
        sender.board().advance(up_to);
    }
}

/// What the stored log has after a place, and up to where that is all.
async fn stored(
    sender: &Arc<Sender>,
    from: Sequence,
    head: Sequence,
) -> Result<(Vec<(Sequence, OutgoingChange)>, Sequence), ServiceError> {
    let db = sender.ctx().store.db();
    let stored = log::frames_after(db, WriterId::MASTER, from, FRAMES_MAX).await;
    let stored = stored.map_err(ServiceError::internal)?;
    let begins = stored.first().map_or(head, |first| first.previous);
    if begins > from {
        miss(sender, begins).await?;
        return Ok((Vec::new(), begins));
    }
    let (mut changes, mut up_to) = (Vec::new(), from);
    for stored in stored {
        // The database is ahead of what this process knows of rooms.
        if stored.position > head {
            break;
        }
        up_to = stored.position;
        let frame = frames::decode(stored.frame).map_err(ServiceError::internal)?;
        for (position, row) in frame.numbered_rows() {
            changes.extend(OutgoingChange::of_row(row).map(|change| (position, change)));
        }
    }
    if up_to == from {
        // Half a frame ahead of the head: the rest of it comes.
        up_to = head;
    }
    Ok((changes, up_to))
}

/// The log before a place is gone, and some of it was not read: everybody who is known may lack something.
async fn miss(sender: &Arc<Sender>, resumes: Sequence) -> Result<(), ServiceError> {
    let store = &sender.ctx().store;
    let mut after: Option<OwnedServerName> = None;
    loop {
        let page = store.known_servers(after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        for server in page.iter().filter(|server| !sender.is_us(server)) {
            let bucket = bucket_of(server);
            let read = sender.board().read_up_to(bucket);
            if let Some(since) = read.filter(|read| *read < resumes) {
                let lag = Lag {
                    server: server.clone(),
                    since,
                    noted: resumes,
                };
                store.note_delivery_lag(bucket.into(), &lag).await?;
                sender.board().miss(&lag);
            }
        }
        after = Some(last.clone());
    }
}

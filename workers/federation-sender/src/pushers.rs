//! Tells push gateways of events.
//!
//! A pusher is like a device that syncs: it has a place in the log up to which it has been told, wakes when something happens in the user's rooms, and
//! looks at what came after. Its place is stored, so a process that takes over goes on there; at worst the last notification is told twice.

mod delivery;
mod news;
mod notification;
mod worker;

use std::{collections::HashMap, sync::Arc, time::Duration};

use plexus_core::ids::UserNid;
use plexus_storage::{
    StoreError,
    pushers::{Pusher, PusherKey},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::SenderParts;

/// How often the pushers are divided again although none has changed: the share of this process may have.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Users on one page of the list.
const USERS_PER_PAGE: i64 = 1_000;

/// A pusher that is being told.
struct Running {
    pusher: Pusher,
    /// Ends the telling when it is dropped.
    _end: tokio_util::sync::DropGuard,
}

/// Keeps one task for each pusher that is this process's to tell.
pub(crate) async fn run(parts: Arc<SenderParts>) {
    let mut changed = parts.ctx.store.pushers_changed();
    let mut all = Vec::new();
    let mut running: HashMap<PusherKey, Running> = HashMap::new();
    let mut stale = true;
    loop {
        if stale {
            match list(&parts).await {
                Ok(list) => (all, stale) = (list, false),
                Err(error) => tracing::warn!(%error, "the pushers cannot be read"),
            }
        }
        let ours = all.iter().filter(|pusher| (parts.share)(&share_name(&pusher.key)));
        follow(&parts, &mut running, ours);
        stale |= timeout(LOOK_AGAIN, changed.changed()).await.is_ok();
    }
}

/// Every pusher there is.
async fn list(parts: &SenderParts) -> Result<Vec<Pusher>, StoreError> {
    let mut all = Vec::new();
    let mut after = UserNid(0);
    loop {
        let page = parts.ctx.store.pushers_after(after, USERS_PER_PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = last.key.user;
        all.extend(page);
    }
}

/// All pushers of a user go to one process: it has his rooms at hand.
fn share_name(key: &PusherKey) -> String {
    format!("pushers of {}", key.user.0)
}

/// Ends what is not wanted any more or has changed, and starts what is new.
fn follow<'a>(
    parts: &Arc<SenderParts>,
    running: &mut HashMap<PusherKey, Running>,
    wanted: impl Iterator<Item = &'a Pusher>,
) {
    let mut kept = HashMap::with_capacity(running.len());
    for pusher in wanted {
        let same = running.remove(&pusher.key).filter(|running| running.pusher == *pusher);
        kept.insert(pusher.key.clone(), same.unwrap_or_else(|| start(parts, pusher)));
    }
    // Dropping what is left ends it.
    *running = kept;
}

fn start(parts: &Arc<SenderParts>, pusher: &Pusher) -> Running {
    let end = CancellationToken::new();
    let telling = worker::run(Arc::clone(parts), pusher.clone());
    let cancelled = end.clone();
    parts.tasks.spawn(async move {
        cancelled.run_until_cancelled_owned(telling).await;
    });
    Running {
        pusher: pusher.clone(),
        _end: end.drop_guard(),
    }
}

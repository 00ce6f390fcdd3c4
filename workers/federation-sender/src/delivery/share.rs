//! Which buckets are this process's, and what the database is told of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use metrics::{counter, gauge};
use plexus_core::position::{Sequence, WriterId};
use plexus_service::ServiceError;
use plexus_storage::delivery::Lag;
use tokio::time::sleep;

use super::{board::BUCKETS, sender::Sender};
use crate::metrics::{
    BUSY_DESTINATIONS, DELIVERY_LAG, EDUS_SENT_TOTAL, LAGGING_DESTINATIONS, PDUS_SENT_TOTAL, QUEUED_EDUS, QUEUED_PDUS,
};

/// How often the buckets are divided again, and the database is told.
const EVERY: Duration = Duration::from_secs(1);
/// Destinations on one page of a list.
const PAGE: i64 = 1_000;

/// Takes and gives away buckets, and stores their cursors.
pub(super) async fn keep(sender: &Arc<Sender>) {
    let mut wanted = [false; BUCKETS as usize];
    loop {
        if let Err(error) = look(sender, &mut wanted).await {
            tracing::warn!(%error, "how far other servers have been told cannot be read or written");
        }
        measure(sender);
        sleep(EVERY).await;
    }
}

async fn look(sender: &Arc<Sender>, wanted: &mut [bool]) -> Result<(), ServiceError> {
    let mut fresh = Vec::new();
    for (bucket, wanted) in (0..BUCKETS).zip(wanted) {
        let (has, owns) = (sender.board().has_bucket(bucket), sender.owns(bucket));
        // Only the second time: whoever had it before needs a moment to learn that it has not.
        if owns && *wanted && !has {
            fresh.push(bucket);
        } else if !owns && has {
            let cursors = sender.board().cursors(true);
            store(sender, &cursors).await?;
            sender.board().drop_bucket(bucket);
        }
        *wanted = owns;
    }
    take(sender, &fresh).await?;
    let cursors = sender.board().cursors(false);
    store(sender, &cursors).await
}

async fn take(sender: &Arc<Sender>, fresh: &[u16]) -> Result<(), ServiceError> {
    if fresh.is_empty() {
        return Ok(());
    }
    let db = &sender.ctx().store;
    // Before the lags: who moves a cursor past something that was not delivered has noted the lag first.
    let cursors: BTreeMap<i64, Sequence> = db.delivery_cursors().await?.into_iter().collect();
    for &bucket in fresh {
        let mut lags: Vec<Lag> = Vec::new();
        loop {
            let after = lags.last().map(|lag| lag.server.clone());
            let page = db.delivery_lags(bucket.into(), after.as_deref(), PAGE).await?;
            if page.is_empty() {
                break;
            }
            lags.extend(page);
        }
        let cursor = cursors.get(&bucket.into()).copied().unwrap_or_default();
        sender.board().take_bucket(bucket, cursor, lags);
    }
    // What came before is read at once.
    sender.wake();
    Ok(())
}

async fn store(sender: &Arc<Sender>, cursors: &[(u16, Sequence)]) -> Result<(), ServiceError> {
    let rows: Vec<(i64, Sequence)> = cursors.iter().map(|(bucket, at)| ((*bucket).into(), *at)).collect();
    sender.ctx().store.move_delivery_cursors(&rows).await?;
    sender.board().cursors_stored(cursors);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
fn measure(sender: &Sender) {
    let waiting = sender.board().waiting();
    let head = sender.ctx().replica.position().get(WriterId::MASTER);
    gauge!(QUEUED_PDUS).set(waiting.pdus as f64);
    gauge!(QUEUED_EDUS).set(waiting.edus as f64);
    gauge!(BUSY_DESTINATIONS).set(waiting.busy as f64);
    gauge!(LAGGING_DESTINATIONS).set(waiting.lagging as f64);
    gauge!(DELIVERY_LAG).set(waiting.cursor.map_or(0, |cursor| (head - cursor).max(0)) as f64);
    // A rate over what is only there from its first increment on misses that one.
    counter!(PDUS_SENT_TOTAL).increment(0);
    counter!(EDUS_SENT_TOTAL).increment(0);
}

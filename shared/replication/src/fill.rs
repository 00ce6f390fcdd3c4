//! Fetching what a process has missed: one fill at a time for each chain, until nothing is missing.

use std::{sync::Arc, time::Duration};

use ::metrics::counter;
use bytes::Bytes;
use plexus_core::{position::WriterId, row::Frame};

use crate::{
    frames::{self, FrameError},
    metrics,
    receiver::Receiver,
    waiters::Place,
};

/// Pause after a fill that got nowhere; doubles up to the other.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What follows a place on a chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Updates {
    /// Encoded frames in order.
    pub(crate) frames: Vec<Bytes>,
    /// The chain no longer reaches back to the place.
    pub(crate) too_old: bool,
    /// The one frame is the whole state of an ephemeral chain.
    pub(crate) whole: bool,
    /// Where the chain ends.
    pub(crate) head: Place,
}

/// Why what was missed cannot be had now. It is tried again.
#[derive(Debug, thiserror::Error)]
#[error("what was missed cannot be fetched: {0}")]
pub(crate) struct FillError(pub(crate) String);

/// Fills until nothing is missing. Tries for as long as the process lives: a gap is never skipped.
pub(crate) async fn run(receiver: Arc<Receiver>, writer: WriterId) {
    let mut pause = PAUSE_MIN;
    while let Some(place) = receiver.next_fill(writer) {
        counter!(metrics::LOG_FILLS, "chain" => metrics::chain(writer)).increment(1);
        match receiver.fetch(writer, place).await {
            Ok(updates) => {
                if take(&receiver, writer, updates) {
                    pause = PAUSE_MIN;
                    continue;
                }
            }
            Err(error) => tracing::debug!(log.writer = writer.0, %error, "a fill failed"),
        }
        if receiver.is_behind(writer) {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Whether the receiver got anywhere.
fn take(receiver: &Arc<Receiver>, writer: WriterId, mut updates: Updates) -> bool {
    let (frames, error) = decode_all(std::mem::take(&mut updates.frames));
    let moved = receiver.take_updates(writer, &frames, &updates);
    if let Some(error) = error {
        tracing::error!(log.writer = writer.0, %error, "a frame of the log cannot be read");
        receiver.unknown_row(writer);
    }
    moved
}

/// The frames up to the first that cannot be read.
fn decode_all(encoded: Vec<Bytes>) -> (Vec<Arc<Frame>>, Option<FrameError>) {
    let mut decoded = Vec::with_capacity(encoded.len());
    for bytes in encoded {
        match frames::decode(bytes) {
            Ok(frame) => decoded.push(frame),
            Err(error) => return (decoded, Some(error)),
        }
    }
    (decoded, None)
}

//! Who waits for a place on a chain.

use std::collections::BTreeMap;

use plexus_core::position::{Epoch, Sequence};
use tokio::sync::oneshot;

/// A place to wait for. Stored chains have one numbering for all epochs: theirs is 0.
pub(crate) type Place = (Epoch, Sequence);

/// The waiters of one chain in the order of what they wait for, so that a frame wakes those it serves and touches no other. One for each request in
/// progress, so bounded by the server's connections.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    waiting: BTreeMap<(Place, u64), oneshot::Sender<()>>,
    next: u64,
}

impl Waiters {
    /// Waits for `place`. The key takes the waiter out again.
    pub(crate) fn add(&mut self, place: Place) -> ((Place, u64), oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let key = (place, self.next);
        self.next += 1;
        self.waiting.insert(key, sender);
        (key, receiver)
    }

    /// Stops waiting.
    pub(crate) fn remove(&mut self, key: (Place, u64)) {
        self.waiting.remove(&key);
    }

    /// Wakes everybody who waits for `place` or one before it.
    pub(crate) fn wake(&mut self, place: Place) {
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > place {
                return;
            }
            // A receiver that is gone has given up waiting.
            let _ = first.remove().send(());
        }
    }
}

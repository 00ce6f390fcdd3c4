//! Events in memory. Only a redaction changes one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use plexus_core::ids::{EventNid, RoomNid};

use super::StoredEvent;
use crate::cache::{Cache, CacheUse, bounded, usage};

/// Bounds the cache.
const CACHE_BYTES: u64 = 64 << 20;

/// Bounds what is kept of the numbers of ids.
const IDS_BYTES: u64 = 16 << 20;
/// What an id and its number take up.
const ID_BYTES: u64 = 80;

/// Events by number.
#[derive(Debug)]
pub(crate) struct Events {
    kept: Cache<EventNid, Arc<StoredEvent>>,
    /// The numbers of ids, as the column holds them. One whose event is gone is found out when it is looked up.
    ids: Cache<(RoomNid, Bytes), EventNid>,
    /// How many redactions there have been. Events are loaded many at a time and redactions are rare, so a redaction marks every load under way.
    redactions: Mutex<u64>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self {
            kept: bounded(CACHE_BYTES, 1_500, |_, event| event.weight()),
            ids: bounded(IDS_BYTES, ID_BYTES, |_, _| ID_BYTES),
            redactions: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, event: EventNid) -> Option<Arc<StoredEvent>> {
        self.kept.get(&event)
    }

    /// The number of an id, if it is at hand.
    pub(crate) fn nid(&self, room: RoomNid, id: &Bytes) -> Option<EventNid> {
        self.ids.get(&(room, id.clone()))
    }

    /// Keeps the number of an id.
    pub(crate) fn keep_nid(&self, room: RoomNid, id: Bytes, event: EventNid) {
        self.ids.insert((room, id), event);
    }

    /// An event was persisted.
    pub(crate) fn insert(&self, event: Arc<StoredEvent>) {
        self.kept.insert(event.nid, event);
    }

    /// What is kept of an event is not as it is any more: one that had no place in the timeline has one now.
    pub(crate) fn forget(&self, event: EventNid) {
        self.redact(event, |_| None);
    }

    /// To be called before a load, for [`keep`](Self::keep).
    pub(crate) fn redactions(&self) -> u64 {
        *self.lock()
    }

    /// Keeps what was loaded, unless something was redacted since there were `redactions`. What was kept already takes the place of what was loaded, so
    /// that nothing is in memory twice.
    pub(crate) fn keep(&self, loaded: &mut [Arc<StoredEvent>], redactions: u64) {
        let now = self.lock();
        if *now != redactions {
            return;
        }
        for event in loaded {
            match self.kept.get(&event.nid) {
                Some(kept) => *event = kept,
                None => self.kept.insert(event.nid, Arc::clone(event)),
            }
        }
    }

    /// An event was redacted: `redact` makes what is left of it, or nothing if it has to be read again.
    pub(crate) fn redact(&self, event: EventNid, redact: impl FnOnce(&StoredEvent) -> Option<StoredEvent>) {
        let mut redactions = self.lock();
        *redactions += 1;
        let Some(kept) = self.kept.peek(&event) else {
            return;
        };
        match redact(&kept) {
            Some(redacted) => self.kept.insert(event, Arc::new(redacted)),
            None => {
                self.kept.remove(&event);
            }
        }
    }

    /// These events are gone, or have changed otherwise than by a redaction.
    pub(crate) fn purge(&self, events: &[EventNid]) {
        let mut redactions = self.lock();
        *redactions += 1;
        for event in events {
            self.kept.remove(event);
        }
    }

    /// Redactions may have been missed.
    pub(crate) fn forget_all(&self) {
        let mut redactions = self.lock();
        *redactions += 1;
        self.kept.clear();
    }

    pub(crate) fn usage(&self) -> CacheUse {
        usage("events", &self.kept)
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.redactions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

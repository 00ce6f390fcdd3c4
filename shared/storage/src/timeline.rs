//! The newest events of rooms, in memory: what a sync of a live room is answered from.

use std::{collections::VecDeque, sync::Arc};

use plexus_core::{
    ids::{EventNid, NodeId, RoomNid},
    position::Sequence,
};

use crate::{
    Store, StoreError,
    cache::{Changing, bounded},
    events::StoredEvent,
};

/// Most events that are kept of a room.
pub const TIMELINE_MAX: usize = 50;

/// Bounds the cache. Its events are mostly those of the events' cache, and count in both.
const CACHE_BYTES: u64 = 48 << 20;

/// The newest events of a room, by position, without a gap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoomTimeline {
    /// All events of the room after this place are here, those that this process has applied and perhaps newer ones.
    floor: Sequence,
    /// Oldest first, [`TIMELINE_MAX`] at most.
    events: VecDeque<Arc<StoredEvent>>,
    /// What the events weigh.
    weight: u64,
}

impl RoomTimeline {
    /// What the database has: the newest events, newest first. If there were fewer than asked for, the room has no others.
    fn loaded(newest_first: Vec<Arc<StoredEvent>>) -> Self {
        let floor = match newest_first.last() {
            Some(oldest) if newest_first.len() >= TIMELINE_MAX => oldest.position - 1,
            _ => 0,
        };
        let weight = newest_first.iter().map(|event| event.weight()).sum();
        Self {
            floor,
            events: newest_first.into_iter().rev().collect(),
            weight,
        }
    }

    /// The place after which all events are here.
    pub fn floor(&self) -> Sequence {
        self.floor
    }

    /// The events, newest first. The newest may have a position beyond the one the reader has fixed.
    pub fn newest_first(&self) -> impl DoubleEndedIterator<Item = &Arc<StoredEvent>> {
        self.events.iter().rev()
    }

    /// The newest event up to a place, if it is here.
    pub fn newest_at(&self, up_to: Sequence) -> Option<&Arc<StoredEvent>> {
        self.newest_first().find(|event| event.position <= up_to)
    }

    /// The newest `limit` events in (after, `up_to`], newest first; none if some of them may not be here.
    pub fn between(&self, after: Sequence, up_to: Sequence, limit: usize) -> Option<Vec<Arc<StoredEvent>>> {
        let in_range = self.newest_first().skip_while(|event| event.position > up_to);
        let events: Vec<_> = in_range
            .take_while(|event| event.position > after)
            .take(limit)
            .cloned()
            .collect();
        (events.len() == limit || self.floor <= after).then_some(events)
    }

    /// Whether loading it again could not add to it.
    fn is_full(&self) -> bool {
        self.floor == 0 || self.events.len() >= TIMELINE_MAX
    }

    /// Appends an event, unless the database had it before its row came.
    fn push(&mut self, event: Arc<StoredEvent>) {
        if self
            .events
            .back()
            .is_some_and(|newest| newest.position >= event.position)
        {
            return;
        }
        self.weight += event.weight();
        self.events.push_back(event);
        if self.events.len() > TIMELINE_MAX
            && let Some(oldest) = self.events.pop_front()
        {
            self.floor = oldest.position;
            self.weight = self.weight.saturating_sub(oldest.weight());
        }
    }
}

/// The timelines of rooms.
pub(crate) type Timelines = Changing<RoomNid, Arc<RoomTimeline>>;

pub(crate) fn cache() -> Timelines {
    Changing::new(bounded(CACHE_BYTES, 20_000, |_, timeline| timeline.weight))
}

impl Timelines {
    /// An event was persisted.
    pub(crate) fn push(&self, event: &Arc<StoredEvent>) {
        // Without a timeline to append to, the event begins one: it is all that happened in the room after the place before it.
        let begin = || {
            let events = VecDeque::from([Arc::clone(event)]);
            Arc::new(RoomTimeline {
                floor: event.position - 1,
                events,
                weight: event.weight(),
            })
        };
        let append = |timeline: &mut Arc<RoomTimeline>| Arc::make_mut(timeline).push(Arc::clone(event));
        self.change_or_make(&event.room, append, begin);
    }

    /// An event was redacted: `redact` makes what is left of it.
    pub(crate) fn redact(&self, room: RoomNid, event: EventNid, redact: impl FnOnce(&StoredEvent) -> StoredEvent) {
        self.change(&room, |timeline| {
            let at = timeline.events.iter().position(|kept| kept.nid == event);
            if let Some(at) = at {
                let timeline = Arc::make_mut(timeline);
                let redacted = redact(&timeline.events[at]);
                timeline.weight = (timeline.weight + redacted.weight()).saturating_sub(timeline.events[at].weight());
                timeline.events[at] = Arc::new(redacted);
            }
        });
    }
}

impl Store {
    /// The newest events of a room, as many as are kept.
    pub async fn room_timeline(&self, room: RoomNid) -> Result<Arc<RoomTimeline>, StoreError> {
        let timelines = &self.caches().timelines;
        timelines
            .get_if_or_load(&room, |timeline| timeline.is_full(), || self.load_timeline(room))
            .await
    }

    async fn load_timeline(&self, room: RoomNid) -> Result<Arc<RoomTimeline>, StoreError> {
        let events = self.load_events_between(room, 0, Sequence::MAX, TIMELINE_MAX).await?;
        Ok(Arc::new(RoomTimeline::loaded(events)))
    }

    /// The newest events of a room with a position in (after, `up_to`], newest first, at most `limit` and
    /// [`EVENTS_PER_PAGE_MAX`](crate::events::EVENTS_PER_PAGE_MAX).
    pub async fn events_between(
        &self,
        room: RoomNid,
        after: Sequence,
        up_to: Sequence,
        limit: usize,
    ) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        let kept = self.caches().timelines.get(&room);
        if let Some(events) = kept.and_then(|timeline| timeline.between(after, up_to, limit)) {
            return Ok(events);
        }
        if self.last_change(room) <= after {
            return Ok(Vec::new());
        }
        let timeline = self.room_timeline(room).await?;
        match timeline.between(after, up_to, limit) {
            Some(events) => Ok(events),
            None => self.load_events_between(room, after, up_to, limit).await,
        }
    }

    /// The oldest events of a room with a position in (after, `up_to`], oldest first, at most `limit` and
    /// [`EVENTS_PER_PAGE_MAX`](crate::events::EVENTS_PER_PAGE_MAX).
    pub async fn events_after(
        &self,
        room: RoomNid,
        after: Sequence,
        up_to: Sequence,
        limit: usize,
    ) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        if self.last_change(room) <= after {
            return Ok(Vec::new());
        }
        let kept = self.caches().timelines.get(&room);
        match kept.filter(|timeline| timeline.floor <= after) {
            Some(timeline) => {
                let in_range = |event: &&Arc<StoredEvent>| event.position > after && event.position <= up_to;
                Ok(timeline.events.iter().filter(in_range).take(limit).cloned().collect())
            }
            None => self.load_events_after(room, after, up_to, limit).await,
        }
    }

    /// The room's state after its last event at or before a place; none if it had no event then.
    pub async fn room_root_at(&self, room: RoomNid, up_to: Sequence) -> Result<Option<NodeId>, StoreError> {
        let root_in = |timeline: &RoomTimeline| timeline.newest_at(up_to).map(|event| event.room_root);
        if let Some(found) = self
            .caches()
            .timelines
            .get(&room)
            .and_then(|timeline| root_in(&timeline))
        {
            return Ok(Some(found));
        }
        match root_in(&*self.room_timeline(room).await?) {
            Some(found) => Ok(Some(found)),
            None => self.load_room_root_at(room, up_to).await,
        }
    }
}

#[cfg(test)]
mod tests;

//! History that was missing, on its way to its place before the event it leads up to.

use std::collections::HashSet;

use plexus_core::row::EventStatus;
use plexus_proto::ReceiveEvents;
use ruma::{EventId, OwnedEventId};

use crate::{
    change_set::ChangeSet,
    decide::{
        head::{Known, PendingHead},
        persist::Spot,
    },
    error::CommandError,
    leader::Leader,
};

/// A gap that is being filled.
pub(super) struct Filling {
    region: i64,
    next: i64,
    notifying: i64,
    placed: Vec<(Known, i64)>,
}

impl Filling {
    /// Begins to fill the gap that a Command names; nothing if it is filled already, or nothing more can be placed there.
    pub(super) async fn begin(
        leader: &Leader,
        head: &mut PendingHead,
        before: &str,
        command: &ReceiveEvents,
    ) -> Result<Option<Self>, CommandError> {
        let before = EventId::parse(before).map_err(|_| CommandError::Malformed("before"))?;
        let Some(event) = head.find_event(leader, &before).await? else {
            return Ok(None);
        };
        let gap = head
            .gaps(leader)
            .await?
            .iter()
            .find(|gap| gap.event == event.nid)
            .copied();
        let Some(gap) = gap else { return Ok(None) };
        let events = command.events.iter().filter(|event| !event.outlier).count();
        let Some(next) = head.take_places(leader, gap.region, events).await? else {
            return Ok(None);
        };
        let stored = leader.store.event(event.nid).await?;
        Ok(Some(Self {
            region: gap.region,
            next,
            notifying: stored.map_or(head.notifying, |event| event.notifying),
            placed: Vec::new(),
        }))
    }

    /// Where the next event goes.
    pub(super) fn spot(&self) -> Spot {
        Spot::History {
            room_order: self.next,
            notifying: self.notifying,
        }
    }

    /// An event has got its place.
    pub(super) fn placed(&mut self, event: Known) {
        self.placed.push((event, self.next));
        self.next += 1;
    }

    /// Says where history is missing now.
    pub(super) async fn end(
        self,
        leader: &Leader,
        head: &mut PendingHead,
        change: &mut ChangeSet,
    ) -> Result<(), CommandError> {
        let new: HashSet<OwnedEventId> = self.placed.iter().map(|(event, _)| id_of(event)).collect();
        let mut filled = Vec::new();
        for gap in head.gaps(leader).await?.to_vec() {
            let event = head.event(leader, gap.event).await?;
            let is_touched = event.body.prev_events().iter().any(|id| new.contains(id));
            if is_touched && missing(leader, head, event.body.prev_events()).await?.is_empty() {
                filled.push(gap.event);
            }
        }
        head.close_gaps(&filled, change);
        for (event, room_order) in &self.placed {
            let is_listed = event.status == EventStatus::Accepted;
            if is_listed && !missing(leader, head, event.body.prev_events()).await?.is_empty() {
                let at = (*room_order, self.region);
                head.open_gap(leader, event.nid, at, change).await?;
            }
        }
        Ok(())
    }
}

fn id_of(event: &Known) -> OwnedEventId {
    event.body.event_id().to_owned()
}

/// Those of these events that are not part of the room's history as it is here.
pub(super) async fn missing(
    leader: &Leader,
    head: &mut PendingHead,
    ids: &[OwnedEventId],
) -> Result<Vec<OwnedEventId>, CommandError> {
    let mut missing = Vec::new();
    for id in ids {
        match head.find_event(leader, id).await? {
            Some(event) if event.has_place() => {}
            Some(_) | None => missing.push(id.clone()),
        }
    }
    Ok(missing)
}

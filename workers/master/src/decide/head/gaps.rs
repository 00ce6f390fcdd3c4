//! Where history of the room is missing, and where what is fetched of it gets its place.

use std::collections::HashMap;

use plexus_core::ids::EventNid;
use plexus_storage::room_gaps::{self, GAPS_MAX, REGION_PLACES, RoomGap};

use super::PendingHead;
use crate::{change_set::ChangeSet, error::CommandError, leader::Leader};

/// The gaps of a room, counting what is decided but not yet committed.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaps {
    /// None until somebody asks.
    open: Option<Vec<RoomGap>>,
    /// The first place that is taken of each region in which something has been placed.
    lowest: HashMap<i64, i64>,
}

impl PendingHead {
    /// Every gap there is.
    pub(in crate::decide) async fn gaps(&mut self, leader: &Leader) -> Result<&[RoomGap], CommandError> {
        if self.gaps.open.is_none() {
            self.gaps.open = Some(room_gaps::load(leader.store.db(), self.info.nid).await?);
        }
        Ok(self.gaps.open.as_deref().unwrap_or_default())
    }

    /// Notes that history is missing before an event, whose place is in this region or ends it.
    pub(in crate::decide) async fn open_gap(
        &mut self,
        leader: &Leader,
        event: EventNid,
        (room_order, region): (i64, i64),
        change: &mut ChangeSet,
    ) -> Result<(), CommandError> {
        if self.gaps(leader).await?.len() >= GAPS_MAX {
            return Ok(());
        }
        let gap = RoomGap {
            event,
            room_order,
            region,
        };
        self.gaps.open.get_or_insert_default().push(gap);
        change.statements.push(room_gaps::insert(self.info.nid, event, region));
        Ok(())
    }

    /// Forgets gaps that are filled.
    pub(in crate::decide) fn close_gaps(&mut self, events: &[EventNid], change: &mut ChangeSet) {
        if events.is_empty() {
            return;
        }
        if let Some(open) = &mut self.gaps.open {
            open.retain(|gap| !events.contains(&gap.event));
        }
        change.statements.push(room_gaps::delete(self.info.nid, events));
    }

    /// Takes the last places of a region that are free for so many events: the first of them, unless the region is full.
    pub(in crate::decide) async fn take_places(
        &mut self,
        leader: &Leader,
        region: i64,
        events: usize,
    ) -> Result<Option<i64>, CommandError> {
        let lowest = match self.gaps.lowest.get(&region) {
            Some(lowest) => *lowest,
            None => room_gaps::lowest(leader.store.db(), self.info.nid, region).await?,
        };
        let first = i64::try_from(events).ok().and_then(|events| lowest.checked_sub(events));
        let first = first.filter(|first| *first > region - REGION_PLACES);
        if let Some(first) = first {
            self.gaps.lowest.insert(region, first);
        }
        Ok(first)
    }

    /// What has been placed is in the store now.
    pub(super) fn trim_gaps(&mut self) {
        self.gaps = Gaps::default();
    }
}

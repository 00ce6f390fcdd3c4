//! The order in which all other events are tried: by how old the power levels are that they were sent under.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{Missing, Room, candidates::Candidates};
use crate::ids::EventNid;

/// How many events are asked for at once to get ahead of a long line of power levels.
const AHEAD_MAX: usize = 2_048;

/// Sorts candidates by the mainline of a power-levels event.
pub(super) fn mainline_order(
    room: &Room<'_>,
    candidates: &Candidates,
    chosen: impl Iterator<Item = usize>,
    power_levels: Option<EventNid>,
) -> Result<Vec<usize>, Missing> {
    let mut line = Mainline {
        room,
        line: power_levels.into_iter().collect(),
        is_whole: power_levels.is_none(),
        positions: BTreeMap::new(),
    };
    let mut ranked = Vec::new();
    for at in chosen {
        let candidate = &candidates.all()[at];
        let under = candidate.auth_event("m.room.power_levels", "");
        let position = match under {
            None => None,
            Some((event, _)) => line.position(*event)?,
        };
        // Not on the line is before everything that is.
        let place = (position.is_some(), position.map(Reverse));
        let body = &candidate.body;
        ranked.push((place, body.origin_server_ts(), body.event_id(), at));
    }
    ranked.sort_unstable();
    Ok(ranked.into_iter().map(|(.., at)| at).collect())
}

/// The power-levels events that one came from, newest first; as long as it was needed yet.
struct Mainline<'a> {
    room: &'a Room<'a>,
    line: Vec<EventNid>,
    is_whole: bool,
    /// Where power-levels events meet the line, as far as they were asked for.
    positions: BTreeMap<EventNid, Option<usize>>,
}

impl Mainline<'_> {
    /// The place on the line (0 is the newest) where the history of a power-levels event meets it, itself included.
    fn position(&mut self, event: EventNid) -> Result<Option<usize>, Missing> {
        let (mut way, mut next) = (Vec::new(), Some(event));
        let mut position = None;
        while let Some(at) = next {
            if let Some(known) = self.positions.get(&at) {
                position = *known;
                break;
            }
            self.extend_to(at)?;
            // Newest first is descending.
            position = self.line.binary_search_by(|other| at.cmp(other)).ok();
            way.push(at);
            if position.is_some() {
                break;
            }
            next = self.power_levels_before(at)?;
        }
        self.positions.extend(way.into_iter().map(|at| (at, position)));
        Ok(position)
    }

    /// Makes the line as long as it takes to tell whether `event` is on it.
    fn extend_to(&mut self, event: EventNid) -> Result<(), Missing> {
        while !self.is_whole
            && let Some(last) = self.line.last().filter(|last| **last > event)
        {
            match self.power_levels_before(*last)? {
                Some(before) => self.line.push(before),
                None => self.is_whole = true,
            }
        }
        Ok(())
    }

    /// The power levels that an event was sent under.
    fn power_levels_before(&self, event: EventNid) -> Result<Option<EventNid>, Missing> {
        let Some(parents) = self.room.facts.auth_parents(event) else {
            return Err(self.missing_from(event));
        };
        for parent in parents.iter().filter(|parent| **parent < event) {
            match self.room.facts.event(*parent) {
                None => return Err(self.missing_from(event)),
                Some(known) if known.body.is_state("m.room.power_levels", "") => return Ok(Some(*parent)),
                Some(_) => {}
            }
        }
        Ok(None)
    }

    /// What is missing of the chain of an event. A long line would otherwise be asked for one event at a time.
    fn missing_from(&self, event: EventNid) -> Missing {
        let mut missing = Missing::default();
        let mut queue = BTreeSet::from([event]);
        while let Some(event) = queue.pop_last()
            && missing.events.len() < AHEAD_MAX
        {
            match self.room.facts.auth_parents(event) {
                None => missing.auth_parents.push(event),
                Some(parents) => queue.extend(parents.iter().filter(|parent| **parent < event)),
            }
            if self.room.facts.event(event).is_none() {
                missing.events.push(event);
            }
        }
        missing
    }
}

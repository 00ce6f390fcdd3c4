//! The branches of a room's history: where they end, which of them a new event continues, and the state they come to together.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use plexus_core::{
    event::EventBody,
    ids::{EventNid, NodeId, StateKeyNid},
    resolve::Resolved,
    row::EventStatus,
    state::{self, Shape},
};
use plexus_storage::room_gaps;
use ruma::OwnedEventId;

use super::{Growth, Known, PendingHead};
use crate::{error::CommandError, leader::Leader, resolve};

/// Branches that an event of ours continues. Other servers take up to 20; this many are merged by each event that is sent.
const PREV_EVENTS_MAX: usize = 10;

/// Rejected and soft-failed events that are walked through from one event to its accepted predecessors.
const PREDECESSORS_MAX: usize = 1_000;

/// What to set or remove in a state.
type Change = (StateKeyNid, Option<EventNid>);

/// The ends of a room's branches as an event will leave them, by those there are now: there may be a thousand, and few of them change.
#[derive(Debug)]
pub(in crate::decide) struct TipsAfter {
    /// Of each that there is now, whether the event takes its place.
    are_followed: Vec<bool>,
    event: Known,
}

impl TipsAfter {
    /// The ends, those that stay first.
    pub(in crate::decide) fn tips<'a>(&'a self, head: &'a PendingHead) -> impl Iterator<Item = &'a Known> {
        let tips = head.tips.iter().zip(&self.are_followed);
        let kept = tips.filter(|(_, is_followed)| !**is_followed).map(|(tip, _)| tip);
        kept.chain([&self.event])
    }
}

impl PendingHead {
    /// The branches that an event of ours continues: those with states of their own first, the newest first among them.
    pub(in crate::decide) fn choose_branches(&self) -> Vec<Known> {
        if self.tips.len() <= PREV_EVENTS_MAX {
            return self.tips.clone();
        }
        let tips = self.tips.iter().enumerate();
        let mut newest_first: Vec<_> = tips
            .map(|(at, tip)| (Reverse((tip.body.depth(), tip.nid)), tip.state_after, at))
            .collect();
        newest_first.sort_unstable();
        let mut seen = HashSet::new();
        // Those with a state nobody newer has, and the others, each in that order.
        let (first, others): (Vec<_>, Vec<_>) = newest_first.into_iter().partition(|(_, state, _)| seen.insert(*state));
        let chosen = first.into_iter().chain(others).take(PREV_EVENTS_MAX);
        chosen.map(|(.., at)| self.tips[at].clone()).collect()
    }

    /// The state that some events of the room come to together.
    pub(in crate::decide) async fn state_of<'a>(
        &self,
        leader: &Leader,
        branches: impl IntoIterator<Item = &'a Known>,
        growth: &mut Growth,
    ) -> Result<NodeId, CommandError> {
        let roots = branches.into_iter().map(|branch| branch.state_after);
        self.resolved_state(leader, roots.collect(), growth).await
    }

    /// What some states of the room come to together.
    pub(in crate::decide) async fn resolved_state(
        &self,
        leader: &Leader,
        mut roots: Vec<NodeId>,
        growth: &mut Growth,
    ) -> Result<NodeId, CommandError> {
        roots.sort_unstable();
        roots.dedup();
        match *roots {
            [] => return Ok(NodeId::EMPTY),
            [root] => return Ok(root),
            _ => {}
        }
        let decided = growth.resolved.iter().find(|(of, _)| *of == roots);
        if let Some(root) = decided.map(|(_, root)| root).or_else(|| self.resolved.get(&roots)) {
            return Ok(*root);
        }
        let resolved = resolve::resolve(leader, self, &roots, growth).await?;
        let (base, changes) = self.nearest(leader, resolved, growth).await?;
        let (stored, next) = leader
            .store
            .with_nodes(self.info.nid, |nodes| {
                let mut next = growth.next();
                let nodes = |id| self.node(id, growth).or_else(|| nodes(id));
                state::change(Shape::ROOM, base, &changes, &nodes, &mut next).map(|stored| (stored, next))
            })
            .await?;
        let root = growth.add(stored, next);
        growth.resolved.push((roots, root));
        Ok(root)
    }

    /// What a resolved state is stored as changes of: one of the states that were resolved, or the room's where that takes fewer. What many branches come to
    /// differs from each of them by all the others, and from what they came to before the newest event by little.
    async fn nearest(
        &self,
        leader: &Leader,
        resolved: Resolved,
        growth: &Growth,
    ) -> Result<(NodeId, Vec<Change>), CommandError> {
        let from_base = (resolved.base, resolved.changes);
        if self.root == NodeId::EMPTY || self.root == from_base.0 {
            return Ok(from_base);
        }
        let differences = self.state_diff(leader, (self.root, from_base.0), growth).await?;
        let mut changes: BTreeMap<StateKeyNid, Option<EventNid>> =
            differences.iter().map(|found| (found.key, found.new)).collect();
        changes.extend(from_base.1.iter().copied());
        for found in &differences {
            if changes.get(&found.key) == Some(&found.old) {
                changes.remove(&found.key);
            }
        }
        if changes.len() < from_base.1.len() {
            Ok((self.root, changes.into_iter().collect()))
        } else {
            Ok(from_base)
        }
    }

    /// The ends of the branches once `event` is in. Where it follows events that changed nothing, it takes the place of the last ones before them that
    /// did: so the ends do not pile up under a stream of soft-failed events.
    pub(in crate::decide) async fn tips_after(
        &mut self,
        leader: &Leader,
        event: Known,
    ) -> Result<TipsAfter, CommandError> {
        let mut met: HashSet<OwnedEventId> = event.body.prev_events().iter().cloned().collect();
        let mut open = met.clone();
        let mut are_followed = vec![false; self.tips.len()];
        let mut walked = 0;
        while !open.is_empty() {
            for (tip, is_followed) in self.tips.iter().zip(&mut are_followed) {
                *is_followed |= open.remove(tip.body.event_id());
            }
            let mut before = HashSet::new();
            for id in open {
                if walked == PREDECESSORS_MAX {
                    break;
                }
                let Some(known) = self.find_event(leader, &id).await? else {
                    continue;
                };
                if matches!(known.status, EventStatus::Rejected | EventStatus::SoftFailed) {
                    walked += 1;
                    before.extend(unseen(&known.body, &mut met));
                }
            }
            open = before;
        }
        Ok(TipsAfter { are_followed, event })
    }

    /// Moves past an event that is part of the room's history, to the ends that [`tips_after`](Self::tips_after) found and the state they come to.
    pub(in crate::decide) fn advance(&mut self, after: TipsAfter, root: NodeId, follows_gap: bool) {
        let mut are_followed = after.are_followed.into_iter();
        self.tips.retain(|_| are_followed.next() != Some(true));
        self.tips.push(after.event);
        self.root = root;
        self.room_order = if follows_gap {
            room_gaps::place_after_gap(self.room_order)
        } else {
            self.room_order + 1
        };
        self.moved = true;
    }

    /// All of the room's state is here now, and leads to other states.
    pub(in crate::decide) fn turn_to(&mut self, tips: Vec<Known>, root: NodeId) {
        self.partial = None;
        self.tips = tips;
        self.root = root;
        self.moved = true;
    }

    /// Remembers an event until it is committed, and a state event beyond that.
    pub(super) fn remember(&mut self, event: Known) {
        let id = event.body.event_id().to_owned();
        if event.status == EventStatus::Accepted && event.body.is_state("m.room.create", "") {
            self.create = Some(event.clone());
        }
        self.uncommitted.insert(id, event.nid);
        self.keep_event(event);
    }
}

/// The events before one that have not been met yet.
fn unseen(body: &Arc<EventBody>, met: &mut HashSet<OwnedEventId>) -> Vec<OwnedEventId> {
    let ids = body.prev_events().iter();
    ids.filter(|id| met.insert((*id).clone())).cloned().collect()
}

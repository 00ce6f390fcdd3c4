//! The branches of a room's history: where they end, which of them a new event continues, and the state they come to together.

use std::{
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

impl PendingHead {
    /// The branches that an event of ours continues: those with states of their own first, the newest first among them.
    pub(in crate::decide) fn choose_branches(&self) -> Vec<Known> {
        if self.tips.len() <= PREV_EVENTS_MAX {
            return self.tips.clone();
        }
        let mut newest_first: Vec<&Known> = self.tips.iter().collect();
        newest_first.sort_unstable_by_key(|tip| std::cmp::Reverse((tip.body.depth(), tip.nid)));
        let mut seen = HashSet::new();
        // The sort is stable: among those with a state nobody newer has, and among the others, the order stays.
        newest_first.sort_by_key(|tip| !seen.insert(tip.state_after));
        newest_first.into_iter().take(PREV_EVENTS_MAX).cloned().collect()
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
    ) -> Result<Vec<Known>, CommandError> {
        let mut followed: HashSet<OwnedEventId> = event.body.prev_events().iter().cloned().collect();
        let mut open: Vec<OwnedEventId> = followed.iter().cloned().collect();
        let mut walked = 0;
        while let Some(id) = open.pop() {
            if self.tips.iter().any(|tip| *tip.body.event_id() == *id) || walked == PREDECESSORS_MAX {
                continue;
            }
            let Some(known) = self.find_event(leader, &id).await? else {
                continue;
            };
            if matches!(known.status, EventStatus::Rejected | EventStatus::SoftFailed) {
                walked += 1;
                open.extend(unseen(&known.body, &mut followed));
            }
        }
        let mut tips: Vec<Known> = self.tips.clone();
        tips.retain(|tip| !followed.contains(tip.body.event_id()));
        tips.push(event);
        Ok(tips)
    }

    /// Moves past an event that is part of the room's history, to the ends that [`tips_after`](Self::tips_after) found and the state they come to.
    pub(in crate::decide) fn advance(&mut self, tips: Vec<Known>, root: NodeId, follows_gap: bool) {
        self.tips = tips;
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

//! Collecting the nodes of a room's state that nothing refers to any more.
//!
//! First all roots are gathered that the room's events and its head name. Then the nodes are gone through from the newest to the oldest. A node's children
//! are older than it is, so when its turn comes, everything that may refer to it has had its own: if it is not known to be referred to by then, it goes.
//! Each step is one Command that goes through a bounded number of rows, and what it has found is in the Command that asks for the next.
//!
//! What is newer than the beginning is left alone, and refers to nothing but what was referred to then: new states are made from those of events that
//! stay. It all begins a grace after the last purge, for who may still be reading a state of something that is gone. Where a node is damaged or missing
//! it ends, since what that one refers to is not known: damage is no reason to delete.

use plexus_core::{
    ids::{EventNid, NodeId, RoomNid},
    row::Row,
};
use plexus_proto::{CollectNodes, command::Kind};
use plexus_storage::{
    collect,
    removals::{self, RemovalStatus},
    tasks,
};
use roaring::RoaringTreemap;

use super::{Decision, head::PendingHead};
use crate::{change_set::ChangeSet, error::CommandError, leader::Leader};

/// How long after a purge the nodes of its states stay: longer than any read lasts.
pub(super) const GRACE_MS: i64 = 15 * 60_000;

/// Events whose roots one step gathers.
const EVENTS_MAX: i64 = 5_000;
/// Nodes that one step goes through.
const NODES_MAX: i64 = 2_000;

/// One step of a collection.
pub(super) async fn collect_nodes(
    leader: &Leader,
    head: &mut PendingHead,
    command: &CollectNodes,
) -> Result<Decision, CommandError> {
    if is_too_early(leader, command).await? {
        return Ok(Decision::default());
    }
    head.forget_resolved();
    let mut next = command.clone();
    let mut live = if command.limit == 0 {
        next.limit = head.next_node().0;
        let mut live = RoaringTreemap::new();
        mark(&mut live, head.root);
        live
    } else {
        RoaringTreemap::deserialize_from(&*command.live).map_err(|_| CommandError::Malformed("live"))?
    };
    let mut change = ChangeSet::default();
    let room = head.info.nid;
    let is_done = if command.below == 0 {
        gather(leader, room, &mut next, &mut live).await?;
        false
    } else {
        sweep(leader, room, &mut next, &mut live, &mut change).await?
    };
    if !is_done {
        live.remove_range(next.limit.cast_unsigned()..);
        let mut bytes = Vec::with_capacity(live.serialized_size());
        live.serialize_into(&mut bytes)
            .map_err(|_| CommandError::Damaged("a set of numbers"))?;
        next.live = bytes.into();
        let task = leader.new_task(Kind::CollectNodes(next));
        change.statements.push(tasks::insert(&task));
        change.asks_for_tasks = true;
    }
    change.rows.push(Row::Room { room });
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

/// Whether something in the room has just been purged, or is being: there is a collection to come, which knows of it.
async fn is_too_early(leader: &Leader, command: &CollectNodes) -> Result<bool, CommandError> {
    let removals = removals::of_room(leader.store.db(), &command.room_id).await?;
    let since = leader.clock.now_ms() - command.grace_ms;
    Ok(removals
        .iter()
        .any(|removal| removal.status == RemovalStatus::Active || removal.changed_ms > since))
}

/// Marks the states that some more events name; after the last of them, the nodes are next.
async fn gather(
    leader: &Leader,
    room: RoomNid,
    next: &mut CollectNodes,
    live: &mut RoaringTreemap,
) -> Result<(), CommandError> {
    let after = (next.after_position, EventNid(next.after_event));
    let named = collect::named_after(leader.store.db(), room, after, EVENTS_MAX).await?;
    match named.last() {
        Some(last) => (next.after_position, next.after_event) = (last.position, last.event.0),
        None => next.below = next.limit,
    }
    for root in named.into_iter().flat_map(|named| named.roots) {
        mark(live, root);
    }
    Ok(())
}

/// Goes through some more nodes; whether these were the last.
async fn sweep(
    leader: &Leader,
    room: RoomNid,
    next: &mut CollectNodes,
    live: &mut RoaringTreemap,
    change: &mut ChangeSet,
) -> Result<bool, CommandError> {
    let nodes = collect::nodes_below(leader.store.db(), room, NodeId(next.below), NODES_MAX).await?;
    let mut dead = Vec::new();
    let mut is_done = nodes.is_empty();
    for stored in &nodes {
        let id = stored.id.0.cast_unsigned();
        // Those that are referred to are taken out as they come: one that is left is not there.
        let is_missing = live.max().is_some_and(|newest| newest > id);
        if !is_missing && !live.remove(id) {
            dead.push(stored.id);
        } else if let Some(children) = collect::children(stored).filter(|_| !is_missing) {
            for child in children {
                mark(live, child);
            }
        } else {
            tracing::error!(
                room = room.0,
                node = stored.id.0,
                is_missing,
                "a state node is damaged or missing, older ones are not collected"
            );
            is_done = true;
            break;
        }
        next.below = stored.id.0;
    }
    if !dead.is_empty() {
        change.statements.push(collect::delete(room, &dead));
    }
    Ok(is_done)
}

fn mark(live: &mut RoaringTreemap, node: NodeId) {
    if node != NodeId::EMPTY {
        live.insert(node.0.cast_unsigned());
    }
}

//! A step of a purge: the oldest events leave the timeline.
//!
//! What goes for good is what other servers' users have sent, and what this server's have if that is asked for. All other events stay as outliers, in no
//! timeline: state events, because states that stay and the authorization of what stays refer to them; what redacted one that stays; and what somebody's
//! receipt names, by which it is known how much he has not read.

use std::collections::HashSet;

use bytes::Bytes;
use plexus_core::{
    ids::{EventNid, RoomNid},
    position::Sequence,
    row::Row,
};
use plexus_proto::{CollectNodes, RemovalStep, command::Kind};
use plexus_storage::{
    events::event_id_bytes,
    nids,
    purge::{self, Candidate},
    room_gaps, tasks,
};

use super::{super::head::LaneState, UnderWay};
use crate::{change_set::ChangeSet, decide::collect::GRACE_MS, error::CommandError, leader::Leader};

/// Events that one step purges.
const EVENTS_MAX: usize = 500;

pub(super) async fn purge(
    under_way: &mut UnderWay<'_>,
    state: &mut LaneState,
    command: &RemovalStep,
) -> Result<ChangeSet, CommandError> {
    let leader = under_way.leader;
    let db = leader.store.db();
    let limit = i64::try_from(EVENTS_MAX).unwrap_or(i64::MAX);
    let head = state.head(leader, &command.room_id).await?;
    let candidates = purge::oldest(db, under_way.room, command.before_order, limit).await?;
    let mut change = ChangeSet::default();
    if candidates.is_empty() {
        ask_for_collection(leader, command, &mut change);
        return Ok(under_way.complete(change));
    }
    let read = receipts(leader, head.info.nid).await?;
    let (mut gone, mut kept) = (Vec::new(), Vec::new());
    for candidate in &candidates {
        let is_kept = candidate.is_state
            || read.contains(&candidate.event_id)
            || !command.delete_local_events && is_local(leader, candidate).await?;
        if is_kept { &mut kept } else { &mut gone }.push(candidate.nid);
    }
    keep_redactions(leader, &candidates, command.before_order, &mut gone, &mut kept).await?;
    let mut all = gone.clone();
    all.extend(&kept);
    if let Some(greatest) = gone.iter().max() {
        change.statements.push(nids::event_deleted(*greatest));
    }
    change.statements.push(purge::delete_events(&gone));
    change.statements.push(purge::make_outliers(&kept));
    change.statements.push(purge::delete_relations(&all));
    change.statements.push(room_gaps::delete(under_way.room, &all));
    let positions: Vec<_> = candidates.iter().map(|candidate| candidate.position).collect();
    change
        .statements
        .push(purge::delete_highlights(under_way.room, &positions));
    under_way.count("purged_events", gone.len());
    change.rows.push(Row::Purged {
        room: under_way.room,
        events: all,
        whole: false,
    });
    Ok(under_way.ask(command.clone(), change))
}

/// The events that receipts of the room name.
async fn receipts(leader: &Leader, room: RoomNid) -> Result<HashSet<Bytes>, CommandError> {
    let Some(info) = leader.store.room_by_nid(room).await? else {
        return Ok(HashSet::new());
    };
    let receipts = leader.store.receipts(room).await?;
    let receipts = receipts.up_to(Sequence::MAX);
    let ids = receipts.filter_map(|(_, receipt)| event_id_bytes(info.version, &receipt.event_id));
    Ok(ids.collect())
}

async fn is_local(leader: &Leader, candidate: &Candidate) -> Result<bool, CommandError> {
    let sender = leader.store.user_id(candidate.sender).await?;
    Ok(sender.is_some_and(|sender| sender.server_name() == leader.server_name))
}

/// Keeps what redacted the events that are kept, also where its turn has not come yet.
async fn keep_redactions(
    leader: &Leader,
    candidates: &[Candidate],
    before_order: i64,
    gone: &mut Vec<EventNid>,
    kept: &mut Vec<EventNid>,
) -> Result<(), CommandError> {
    let stays: HashSet<EventNid> = kept.iter().copied().collect();
    let redactions: Vec<EventNid> = candidates
        .iter()
        .filter(|candidate| stays.contains(&candidate.nid))
        .filter_map(|candidate| candidate.redacted_by)
        .collect();
    let redactions = purge::still_before(leader.store.db(), &redactions, before_order).await?;
    gone.retain(|event| !redactions.contains(event));
    kept.extend(redactions.into_iter().filter(|event| !stays.contains(event)));
    Ok(())
}

/// Once nobody reads the states of what is gone any more, their nodes go too.
fn ask_for_collection(leader: &Leader, command: &RemovalStep, change: &mut ChangeSet) {
    let collect = CollectNodes {
        room_id: command.room_id.clone(),
        grace_ms: GRACE_MS,
        ..CollectNodes::default()
    };
    let task = leader.new_task_after(Kind::CollectNodes(collect), GRACE_MS);
    change.statements.push(tasks::insert(&task));
}

//! Where a room stands: what its head says, and who is in it.

use std::collections::BTreeMap;

use plexus_core::{
    ids::{EventNid, NodeId, UserNid},
    row::Membership,
};
use plexus_storage::room_heads::RoomHead;
use ruma::UserId;

use super::{Verified, VerifyError, sorted, walk::Walk};

/// What is to be written of where the room stands.
#[derive(Debug)]
pub(super) struct Right {
    pub(super) head: RoomHead,
    pub(super) moves_head: bool,
    pub(super) members: Vec<(UserNid, Membership, EventNid)>,
}

/// What the members are by the room's state.
type Members = BTreeMap<UserNid, (Membership, EventNid)>;

/// The comparison.
pub(super) struct Ends;

impl Ends {
    /// Compares where the room stands with where its events lead.
    pub(super) async fn check(
        walk: &mut Walk<'_>,
        head: &RoomHead,
        found: &mut Verified,
    ) -> Result<Right, VerifyError> {
        let (tips, depth) = walk.ends();
        let mut right = head.clone();
        if sorted(head.extremities.iter().copied()) != tips {
            found.disagree(format!(
                "the ends of the room are {:?} and should be {tips:?}",
                head.extremities
            ));
            right.extremities = tips;
        }
        if head.depth != depth {
            found.disagree(format!("the depth of the room is {} and should be {depth}", head.depth));
            right.depth = depth;
        }
        if walk.states.is_same(walk.root, head.room_root).await? != Some(true) {
            let stored = head.room_root.0;
            found.disagree(format!("the state of the room (node {stored}) is not that of its ends"));
            right.room_root = walk.root;
        }
        if head.room_order < walk.room_order {
            found.disagree(format!(
                "the timeline ends at {} and goes on to {}",
                head.room_order, walk.room_order
            ));
            right.room_order = walk.room_order;
        }
        let newest = newest_node(walk).await?;
        if head.next_node <= newest {
            found.disagree(format!(
                "node {} is there, and the next is to be {}",
                newest.0, head.next_node.0
            ));
        }
        let mut members = Vec::new();
        if let Some(expected) = members_by_state(walk, right.room_root, found).await? {
            check_counts(&expected, &mut right, found);
            members = check_members(walk, &expected, found).await?;
        }
        Ok(Right {
            moves_head: right != *head || head.next_node <= newest,
            head: right,
            members,
        })
    }
}

async fn newest_node(walk: &Walk<'_>) -> Result<NodeId, VerifyError> {
    let (store, room) = (walk.states.store, walk.states.room.nid);
    let newest = plexus_storage::collect::nodes_below(store.db(), room, NodeId(i64::MAX), 1).await?;
    Ok(newest.first().map_or(NodeId::EMPTY, |node| node.id))
}

/// Who is what to the room; none if its state cannot be read.
async fn members_by_state(walk: &Walk<'_>, root: NodeId, found: &mut Verified) -> Result<Option<Members>, VerifyError> {
    let Some(entries) = walk.states.entries(root).await? else {
        found.disagree("the state of the room cannot be read, its members are not looked at");
        return Ok(None);
    };
    let store = walk.states.store;
    let keys: Vec<_> = entries.iter().map(|(key, _)| *key).collect();
    let pairs = store.state_keys(&keys).await?;
    let mut members = Members::new();
    for ((key, nid), pair) in entries.into_iter().zip(pairs) {
        let Some(event) = store.event(nid).await? else {
            found.disagree(format!(
                "the state of the room names event number {}, which is not stored",
                nid.0
            ));
            continue;
        };
        if event.state_key != Some(key) {
            found.disagree(format!("{} stands for another key in the state", super::named(&event)));
        }
        let user_id = pair.filter(|pair| pair.0 == "m.room.member");
        let user_id = user_id.and_then(|pair| UserId::parse(pair.1.as_str()).ok());
        let (Some(user_id), Some(membership)) = (user_id, event.body.membership()) else {
            continue;
        };
        match store.user_nid(&user_id).await? {
            Some(user) => {
                members.insert(user, (membership, nid));
            }
            None => found.disagree(format!("{user_id} is a member and has no number")),
        }
    }
    Ok(Some(members))
}

fn check_counts(expected: &Members, right: &mut RoomHead, found: &mut Verified) {
    let count = |wanted| {
        let with = expected.values().filter(|(membership, _)| *membership == wanted);
        i64::try_from(with.count()).unwrap_or(i64::MAX)
    };
    for (name, stored, counted) in [
        ("joined", &mut right.joined, count(Membership::Join)),
        ("invited", &mut right.invited, count(Membership::Invite)),
    ] {
        if *stored != counted {
            found.disagree(format!("{stored} users are counted as {name}, and {counted} are"));
            *stored = counted;
        }
    }
}

/// Compares the newest of each membership with the room's state.
async fn check_members(
    walk: &Walk<'_>,
    expected: &Members,
    found: &mut Verified,
) -> Result<Vec<(UserNid, Membership, EventNid)>, VerifyError> {
    let stored = walk.states.store.room_members(walk.states.room.nid).await?;
    let mut right = Vec::new();
    for (user, (membership, event)) in expected {
        let newest = stored.get(*user);
        if newest.is_none_or(|newest| (newest.membership, newest.event) != (*membership, *event)) {
            found.disagree(format!(
                "user number {} is stored as {:?}, and is {membership:?} by event number {}",
                user.0,
                newest.map(|newest| newest.membership),
                event.0
            ));
            right.push((*user, *membership, *event));
        }
    }
    for (user, newest) in stored.iter() {
        // Whoever came on a branch that did not hold is out of the room.
        let is_out = matches!(newest.membership, Membership::Leave | Membership::Ban);
        if !is_out && !expected.contains_key(&user) {
            found.disagree(format!(
                "user number {} is stored as {:?}, and is nothing to the room",
                user.0, newest.membership
            ));
            right.push((user, Membership::Leave, newest.event));
        }
    }
    Ok(right)
}

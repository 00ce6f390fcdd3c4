//! Writing an event that has been decided on: the event itself, the states it leads to, and what follows for the members of the room.

use std::sync::Arc;

use plexus_core::{
    event::EventBody,
    ids::{EventNid, NodeId, StateKeyNid, UserNid},
    row::{EventRow, EventStatus, Membership, Row, StateRow, Transaction},
};
use plexus_storage::{
    db::Value,
    events::{self, NewEventRow},
    memberships,
};
use ruma::UserId;

use super::{
    head::{Growth, Known, PendingHead, TipsAfter},
    notify::Notice,
    relation,
};
use crate::{change_set::ChangeSet, error::CommandError, leader::Leader};

/// The place in the log of what is news to nobody.
const HISTORY: i64 = 0;

/// Most memberships that one row tells of.
const MEMBERSHIPS_PER_ROW: usize = 1_000;

/// What is decided of an event, and where it stands.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) body: Arc<EventBody>,
    pub(super) status: EventStatus,
    pub(super) rejected_for: Option<String>,
    pub(super) state_before: NodeId,
    pub(super) auth_parents: Arc<[EventNid]>,
    pub(super) transaction: Option<Arc<Transaction>>,
    /// The outlier that the event was until now.
    pub(super) outlier: Option<EventNid>,
    /// Whether it is for this server to send the event to the others in its room.
    pub(super) outgoing: bool,
    pub(super) spot: Spot,
}

/// Where in the timeline an event goes that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// To its end: it is news.
    End,
    /// To its end, and some of what was before it has not come.
    AfterGap,
    /// To this place, as history that is news to nobody.
    History { room_order: i64, notifying: i64 },
}

impl Place {
    /// The place of an event that is part of the room's history.
    pub(super) fn accepted(body: Arc<EventBody>) -> Self {
        Self {
            body,
            status: EventStatus::Accepted,
            rejected_for: None,
            state_before: NodeId::EMPTY,
            auth_parents: Arc::default(),
            transaction: None,
            outlier: None,
            outgoing: false,
            spot: Spot::End,
        }
    }

    /// Whether it is the newest event of the room's history.
    fn is_news(&self) -> bool {
        self.status == EventStatus::Accepted && !matches!(self.spot, Spot::History { .. })
    }
}

/// What an event does to the room.
struct Effect {
    /// The ends of the branches, if it is one of them now.
    tips: Option<TipsAfter>,
    /// The room's state.
    root: NodeId,
    members: Vec<MemberChange>,
}

/// Somebody is something else to the room.
pub(super) struct MemberChange {
    user: UserNid,
    was: Option<Membership>,
    is: Membership,
    event: EventNid,
}

/// Writes an event and moves the head past it. On an error the head has not moved.
pub(super) async fn persist(
    leader: &Leader,
    head: &mut PendingHead,
    place: Place,
    mut growth: Growth,
    change: &mut ChangeSet,
) -> Result<EventNid, CommandError> {
    let notice = if place.is_news() {
        Notice::of(leader, head, &place.body).await?
    } else {
        Notice::default()
    };
    let nid = place.outlier.unwrap_or_else(|| leader.interner.new_event());
    let sender = leader
        .interner
        .user(place.body.sender())
        .await?
        .with(&mut change.statements);
    let state_key = state_key(leader, &place.body, change).await?;
    let state_after = match state_key.filter(|_| changes_state(place.status)) {
        Some(key) => {
            head.insert_state(leader, place.state_before, &[(key, nid)], &mut growth)
                .await?
        }
        None => place.state_before,
    };
    let known = Known {
        nid,
        status: place.status,
        state_after,
        auth_parents: state_key.map(|_| Arc::clone(&place.auth_parents)),
        body: Arc::clone(&place.body),
    };
    growth.add_event(known.clone());
    let effect = effect(leader, head, &place, &known, &mut growth, change).await?;

    head.keep_growth(growth, change);
    if let Some(tips) = effect.tips {
        head.advance(tips, effect.root, place.spot == Spot::AfterGap);
        head.notifying += i64::from(notice.notifies);
        if place.spot == Spot::AfterGap {
            let at = head.room_order;
            head.open_gap(leader, nid, (at, at), change).await?;
        }
    }
    let membership = write_members(head, nid, &effect.members, change);
    notice.persist(head, change);
    let (room_order, notifying) = match place.spot {
        Spot::End | Spot::AfterGap => (head.room_order, head.notifying),
        Spot::History { room_order, notifying } => (room_order, notifying),
    };
    let row = NewEventRow {
        nid,
        room: head.info.nid,
        version: head.info.version,
        room_order: (place.status == EventStatus::Accepted).then_some(room_order),
        sender,
        state_key,
        status: place.status,
        state_before: place.state_before,
        state_after,
        room_root: effect.root,
        auth_parents: state_key.map(|_| place.auth_parents),
        rejected_for: place.rejected_for,
        outgoing: place.outgoing,
        notifying,
        transaction: place.transaction,
        body: place.body,
    };
    let was_outlier = place.outlier.is_some();
    match place.spot {
        Spot::End | Spot::AfterGap => write_event(head, &row, was_outlier, membership, change),
        Spot::History { .. } => write_history_event(head, &row, was_outlier, change),
    }
    Ok(nid)
}

/// Whether an event of this status is part of the state after it.
pub(super) fn changes_state(status: EventStatus) -> bool {
    match status {
        EventStatus::Accepted | EventStatus::SoftFailed => true,
        EventStatus::Rejected | EventStatus::Outlier => false,
    }
}

async fn state_key(
    leader: &Leader,
    body: &EventBody,
    change: &mut ChangeSet,
) -> Result<Option<StateKeyNid>, CommandError> {
    let Some(key) = body.state_key() else { return Ok(None) };
    let interned = leader.interner.state_key(body.kind(), key).await?;
    Ok(Some(interned.with(&mut change.statements)))
}

/// Finds out what an event does to the room, before anything moves.
async fn effect(
    leader: &Leader,
    head: &mut PendingHead,
    place: &Place,
    event: &Known,
    growth: &mut Growth,
    change: &mut ChangeSet,
) -> Result<Effect, CommandError> {
    if !place.is_news() {
        // Nobody asks for the room's state at a time when this server was not there.
        let is_history = matches!(place.spot, Spot::History { .. });
        return Ok(Effect {
            tips: None,
            root: if is_history { event.state_after } else { head.root },
            members: Vec::new(),
        });
    }
    let tips = head.tips_after(leader, event.clone()).await?;
    let root = head.state_of(leader, tips.tips(head), growth).await?;
    let is_linear = place.state_before == head.root && root == event.state_after;
    let members = if is_linear {
        let was = own_member_before(leader, head, &place.body).await?;
        Vec::from_iter(member_change(leader, event, was, change).await?)
    } else {
        members_between(leader, head, (head.root, root), event, growth, change).await?
    };
    Ok(Effect {
        tips: Some(tips),
        root,
        members,
    })
}

/// What the target of a member event is to the room before it.
async fn own_member_before(
    leader: &Leader,
    head: &mut PendingHead,
    body: &EventBody,
) -> Result<Option<Membership>, CommandError> {
    let Some((target, _)) = member_of(body) else {
        return Ok(None);
    };
    let member = head.state_event(leader, MEMBER, target.as_str()).await?;
    Ok(member.and_then(|member| member.membership()))
}

const MEMBER: &str = "m.room.member";

/// What a member event makes of its target, which was `was` before.
async fn member_change(
    leader: &Leader,
    event: &Known,
    was: Option<Membership>,
    change: &mut ChangeSet,
) -> Result<Option<MemberChange>, CommandError> {
    let Some((target, is)) = member_of(&event.body) else {
        return Ok(None);
    };
    let user = leader.interner.user(target).await?.with(&mut change.statements);
    Ok(Some(MemberChange {
        user,
        was,
        is,
        event: event.nid,
    }))
}

/// Who is something else to the room at one root than at another.
pub(super) async fn members_between(
    leader: &Leader,
    head: &mut PendingHead,
    (old, new): (NodeId, NodeId),
    event: &Known,
    growth: &Growth,
    change: &mut ChangeSet,
) -> Result<Vec<MemberChange>, CommandError> {
    let mut members = Vec::new();
    for difference in head.state_diff(leader, (old, new), growth).await? {
        let old = match difference.old {
            Some(nid) => Some(head.look_at(leader, nid).await?),
            None => None,
        };
        let was = old.as_ref().and_then(|old| old.body.membership());
        let new = match difference.new {
            Some(nid) if nid == event.nid => Some(event.clone()),
            Some(nid) => Some(head.look_at(leader, nid).await?),
            None => None,
        };
        match (new, old) {
            (Some(new), _) => members.extend(member_change(leader, &new, was, change).await?),
            // Whoever came on a branch that did not hold has never been there.
            (None, Some(old)) => {
                let gone = member_change(leader, &old, was, change).await?;
                members.extend(gone.map(|gone| MemberChange {
                    is: Membership::Leave,
                    ..gone
                }));
            }
            (None, None) => {}
        }
    }
    Ok(members)
}

/// Writes who is something else now; returns what the event itself says of its target. The others have a row of their own, before that of the event.
pub(super) fn write_members(
    head: &mut PendingHead,
    nid: EventNid,
    members: &[MemberChange],
    change: &mut ChangeSet,
) -> Option<(UserNid, Membership)> {
    let is_own = |member: &&MemberChange| member.event == nid;
    let others: Vec<&MemberChange> = members.iter().filter(|member| !is_own(member)).collect();
    for member in members {
        head.count(member.was, member.is);
    }
    for others in others.chunks(MEMBERSHIPS_PER_ROW) {
        write_history(head, others, change);
        let memberships = others.iter().map(|member| (member.user, member.is, member.event));
        change.rows.push(Row::State(StateRow {
            room: head.info.nid,
            memberships: memberships.collect(),
        }));
    }
    let own = members.iter().find(is_own)?;
    write_history(head, &[own], change);
    Some((own.user, own.is))
}

/// Adds to the history of memberships, at the place of the row that is pushed next.
fn write_history(head: &PendingHead, members: &[&MemberChange], change: &mut ChangeSet) {
    for member in members {
        let (room, place) = (head.info.nid, change.next_sequence());
        let statement = memberships::insert(member.user, room, place, member.is, member.event);
        change.statements.push(statement);
    }
}

fn write_event(
    head: &mut PendingHead,
    row: &NewEventRow,
    was_outlier: bool,
    membership: Option<(UserNid, Membership)>,
    change: &mut ChangeSet,
) {
    let place = change.next_sequence();
    change.statements.push(if was_outlier {
        events::give_place(row, place)
    } else {
        events::insert(row, place)
    });
    match row.log_row(membership) {
        Some(listed) => {
            relation::persist(head, row, change);
            change.rows.push(Row::Event(EventRow { was_outlier, ..listed }));
        }
        None => change.rows.push(untold(row, was_outlier)),
    }
}

/// The row of an event that is news to nobody. What is kept in memory of one that was an outlier is not as it is any more.
fn untold(row: &NewEventRow, was_outlier: bool) -> Row {
    let (room, event) = (row.room, row.nid);
    if was_outlier {
        Row::Purged {
            room,
            events: vec![event],
            whole: false,
        }
    } else {
        Row::Unlisted { room, event }
    }
}

/// Writes an event that is part of the timeline, and of no sync.
fn write_history_event(head: &mut PendingHead, row: &NewEventRow, was_outlier: bool, change: &mut ChangeSet) {
    let place = Value::Int(HISTORY);
    change.statements.push(if was_outlier {
        events::give_place(row, place)
    } else {
        events::insert(row, place)
    });
    if row.room_order.is_some() {
        relation::persist(head, row, change);
    }
    change.rows.push(untold(row, was_outlier));
}

/// The user and membership of a member event.
fn member_of(body: &EventBody) -> Option<(&UserId, Membership)> {
    let membership = body.membership()?;
    let target = body.state_key()?.try_into().ok()?;
    Some((target, membership))
}

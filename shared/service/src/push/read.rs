//! How far a user has read a room: his receipts, and what he has said himself, which reads what was before it.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#marking-notifications-as-read>

use std::collections::BTreeMap;

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
    row::Membership,
};
use plexus_storage::{events::Direction, memberships::RoomMembership};

use crate::{Ctx, ServiceError};

/// The thread that is none: the main timeline.
pub const MAIN: &str = "main";
/// Most changes of one membership that are looked back through for the join.
const CHANGES_LOOKED_BACK_MAX: usize = 100;

/// A place in a room, and how many events had notified everybody by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub position: Sequence,
    pub notifying: i64,
}

/// How far a user's receipts go in a room he is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    /// Where the receipts stand in the log, and his membership: as long as these are the same, so is the rest.
    pub(super) places: Vec<Sequence>,
    /// What is read in every thread: to his newest receipt without a thread, or where he came in.
    pub all: Mark,
    /// What is read besides, by thread.
    pub threads: BTreeMap<String, Mark>,
}

/// Where a user's receipts of a room stand in the log. In memory.
pub(super) async fn places(
    ctx: &Ctx,
    user: UserNid,
    room: RoomNid,
    member: RoomMembership,
) -> Result<Vec<Sequence>, ServiceError> {
    let receipts = ctx.store.receipts(room).await?;
    let mut places = vec![member.position];
    places.extend(receipts.of_user(user).map(|(place, _)| place));
    Ok(places)
}

/// Looks up what a user's receipts name. `member` is what makes him a member now.
pub async fn receipts(
    ctx: &Ctx,
    user: UserNid,
    room: RoomNid,
    member: RoomMembership,
) -> Result<Receipts, ServiceError> {
    let receipts = ctx.store.receipts(room).await?;
    let mut read = Receipts {
        places: places(ctx, user, room, member).await?,
        ..Receipts::default()
    };
    for (_, receipt) in receipts.of_user(user) {
        let Some(nid) = ctx.store.event_nid(room, &receipt.event_id).await? else {
            continue;
        };
        let Some(event) = ctx.store.event(nid).await? else {
            continue;
        };
        let mut mark = Mark {
            position: event.position,
            notifying: event.notifying,
        };
        if event.room_order.is_none() {
            mark = mark.max(beginning(ctx, room).await?);
        }
        let place = match &receipt.thread {
            None => &mut read.all,
            Some(thread) => read.threads.entry(thread.clone()).or_default(),
        };
        *place = mark.max(*place);
    }
    if read.all.position < member.position {
        let joined = joined_since(ctx, user, room, member).await?;
        if joined > read.all.position {
            read.all = mark_at(ctx, room, joined).await?;
        }
    }
    Ok(read)
}

/// Since when a member has been in the room without a break: his profile may have changed since.
pub async fn joined_since(
    ctx: &Ctx,
    user: UserNid,
    room: RoomNid,
    member: RoomMembership,
) -> Result<Sequence, ServiceError> {
    let mut since = member.position;
    for _ in 0..CHANGES_LOOKED_BACK_MAX {
        match ctx.store.membership_at(user, room, since - 1).await? {
            Some(earlier) if earlier.membership == Membership::Join => since = earlier.position,
            Some(_) | None => break,
        }
    }
    Ok(since)
}

/// The newest event at or before a place.
pub(super) async fn mark_at(ctx: &Ctx, room: RoomNid, position: Sequence) -> Result<Mark, ServiceError> {
    let newest = ctx.store.events_between(room, 0, position, 1).await?;
    match newest.first() {
        Some(event) => Ok(Mark {
            position: event.position,
            notifying: event.notifying,
        }),
        None => Ok(Mark {
            position,
            ..beginning(ctx, room).await?
        }),
    }
}

/// The first event of a room's timeline, whose history before it may have been purged: nobody has that to read.
async fn beginning(ctx: &Ctx, room: RoomNid) -> Result<Mark, ServiceError> {
    let first = ctx.store.page(room, i64::MIN, Direction::Forward, 1).await?;
    Ok(first.first().map_or_else(Mark::default, |event| Mark {
        position: event.position,
        notifying: event.notifying,
    }))
}

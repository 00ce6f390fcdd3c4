//! How many events of a room a user has not read that notify him, or highlight the room for him.
//!
//! There are two ways to know. A user who has the rules everybody begins with, ignores nobody and reads without threads is *subtracted*: every event carries
//! how many had notified everybody by then, so that what is unread is a difference of two numbers, however many events and members there are; what highlights
//! is in a sparse table. For everybody else events are *asked about* one by one, the newest [`ASKED_MAX`] that may be unread and no more than
//! [`WORK_MAX`] worth of them; what is older counts as read.
//!
//! Either result is kept and carried on by the new events alone. Whoever sends something has read what was before it; so nobody's own events are ever among
//! what is counted.

mod asked;
mod subtracted;

use std::{collections::BTreeMap, sync::Arc};

use plexus_core::position::Sequence;
use plexus_storage::{memberships::RoomMembership, rooms::RoomInfo};
use ruma::UserId;

pub(super) use self::asked::thread_of;
pub use self::asked::{ASKED_MAX, PAST_MAIN_MAX, WORK_MAX};
use self::{asked::Asked, subtracted::Subtracted};
use super::{
    read::{self, Receipts},
    rules,
};
use crate::{Ctx, ServiceError, users::ignored};

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that notify.
    pub notifications: i64,
    /// Those that highlight besides.
    pub highlights: i64,
}

/// What is unread of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// In the room; in its main timeline if threads are counted apart.
    pub room: Counts,
    /// In each thread that has any, if they are counted apart.
    pub threads: BTreeMap<String, Counts>,
}

/// Whose room is counted. He is in it.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    pub user: plexus_core::ids::UserNid,
    pub user_id: &'a UserId,
    pub room: &'a RoomInfo,
    /// What makes him a member.
    pub member: RoomMembership,
}

/// What was found, for the next time.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    receipts: Receipts,
    found: Found,
}

#[derive(Clone, Debug)]
enum Found {
    Subtracted(Subtracted),
    Asked(Asked),
}

/// What a user has not read of a room at a place that this process has reached; `by_thread` is whether threads are counted apart.
pub async fn count(ctx: &Ctx, reader: Reader<'_>, up_to: Sequence, by_thread: bool) -> Result<Unread, ServiceError> {
    let key = (reader.user, reader.room.nid);
    let known = ctx.user_memory.caches().unread.get(&key);
    let places = read::places(ctx, reader.user, reader.room.nid, reader.member).await?;
    let receipts = match &known {
        Some(known) if known.receipts.places == places => known.receipts.clone(),
        _ => read::receipts(ctx, reader.user, reader.room.nid, reader.member).await?,
    };
    let rules = rules::of_user(ctx, reader.user, reader.user_id).await?;
    let ignored = ignored::ignored_by(ctx, reader.user).await?;
    let is_plain = rules.are_default && ignored.is_empty() && receipts.threads.is_empty() && !by_thread;
    let known = known.as_deref().map(|known| &known.found);
    let (found, unread) = if is_plain {
        let before = match known {
            Some(Found::Subtracted(before)) => Some(*before),
            Some(Found::Asked(_)) | None => None,
        };
        let found = subtracted::carry_on(ctx, reader, &receipts, before, up_to).await?;
        let room = found.counts(ctx, reader.room.nid, up_to).await?;
        let threads = BTreeMap::new();
        (Found::Subtracted(found), Unread { room, threads })
    } else {
        let before = match known {
            Some(Found::Asked(before)) => Some(before.clone()),
            Some(Found::Subtracted(_)) | None => None,
        };
        let asking = asked::Asking {
            ctx,
            reader,
            receipts: &receipts,
            rules: &rules,
            ignored: &ignored,
        };
        let found = asking.carry_on(before, up_to).await?;
        let unread = found.unread(&receipts, up_to, by_thread);
        (Found::Asked(found), unread)
    };
    ctx.user_memory
        .caches()
        .unread
        .insert(key, Arc::new(Known { receipts, found }));
    Ok(unread)
}

//! Which memberships changed lately: a view over the table `memberships`, for who shares a room with whom.

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
    row::Membership,
};

use crate::{
    Store, StoreError,
    cache::{Cache, bounded},
    db::Value,
    recent::Recent,
    sql::Int as _,
};

/// Most changes that are remembered in memory.
const RECENT_MAX: usize = 16_384;

/// Most changes that are read from the database for one answer.
pub const CHANGES_MAX: usize = 20_000;

/// Bounds the cache of what memberships were before they changed.
const BEFORE_BYTES: u64 = 2 << 20;

/// A member event, by its place, room and member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemberChange {
    /// Its place in the log.
    pub position: Sequence,
    /// The room.
    pub room: RoomNid,
    /// Whose membership.
    pub user: UserNid,
}

/// The latest changes, and what was before some of them.
pub(crate) struct MemberChanges {
    pub(crate) recent: Recent<(RoomNid, UserNid)>,
    /// What a member was before a change. History does not change.
    before: Cache<MemberChange, Option<Membership>>,
}

impl MemberChanges {
    pub(crate) fn new() -> Self {
        Self {
            recent: Recent::new(RECENT_MAX),
            before: bounded(BEFORE_BYTES, 40, |_, _| 40),
        }
    }
}

impl Store {
    /// The member events in (after, `up_to`] of any room, oldest first, if this process remembers all of them.
    pub fn recent_member_changes(&self, after: Sequence, up_to: Sequence) -> Option<Vec<MemberChange>> {
        let changes = self.caches().member_changes.recent.between(after, up_to)?;
        let named = changes
            .into_iter()
            .map(|(position, (room, user))| MemberChange { position, room, user });
        Some(named.collect())
    }

    /// The member events in (after, `up_to`] of some rooms, oldest first, from the database; none if there are more than [`CHANGES_MAX`].
    pub async fn member_changes(
        &self,
        rooms: &[RoomNid],
        after: Sequence,
        up_to: Sequence,
    ) -> Result<Option<Vec<MemberChange>>, StoreError> {
        let sql = "-- member_changes::between
            SELECT position, room_nid, user_nid FROM memberships WHERE room_nid = ANY($1) AND position > $2 AND position <= $3
            ORDER BY position LIMIT $4";
        let rooms = Value::Ints(rooms.iter().map(|room| room.0).collect());
        let limit = Value::Int(CHANGES_MAX as i64 + 1);
        let rows = self.db().query(sql, &[rooms, after.int(), up_to.int(), limit]).await?;
        if rows.len() > CHANGES_MAX {
            return Ok(None);
        }
        let changes = rows.iter().map(|row| {
            Ok(MemberChange {
                position: row.int(0)?,
                room: RoomNid(row.int(1)?),
                user: UserNid(row.int(2)?),
            })
        });
        changes.collect::<Result<_, StoreError>>().map(Some)
    }

    /// What a member was to the room before a change.
    pub async fn membership_before(&self, change: MemberChange) -> Result<Option<Membership>, StoreError> {
        let cache = &self.caches().member_changes.before;
        if let Some(before) = cache.get(&change) {
            return Ok(before);
        }
        let before = self
            .membership_at(change.user, change.room, change.position - 1)
            .await?;
        let before = before.map(|before| before.membership);
        cache.insert(change, before);
        Ok(before)
    }
}

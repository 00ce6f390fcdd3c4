//! Which memberships changed lately: a view over the table `memberships`, for who shares a room with whom.

use plexus_core::{
    ids::{NodeId, RoomNid, StateKeyNid, UserNid},
    position::Sequence,
    row::{EventRow, Membership},
};

use crate::{
    Store, StoreError,
    db::{DbRow, Value},
    recent::Recent,
    sql::Int as _,
};

/// Most changes that are remembered in memory.
const RECENT_MAX: usize = 16_384;

/// Most changes that are read from the database for one answer.
pub const CHANGES_MAX: usize = 20_000;

/// A member event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberChange {
    /// Its place in the log.
    pub position: Sequence,
    /// The room.
    pub room: RoomNid,
    /// Whose membership.
    pub user: UserNid,
    /// What it is from then on.
    pub membership: Membership,
    /// The state before the event, and the place in it that the event takes: not known of changes from the database.
    before: Option<(NodeId, StateKeyNid)>,
}

impl MemberChange {
    /// The change a log row tells of, if it tells of one.
    pub(crate) fn of_row(row: &EventRow, position: Sequence) -> Option<Self> {
        let (user, membership) = row.membership?;
        Some(Self {
            position,
            room: row.room,
            user,
            membership,
            // On a branch of its own, the state before the event is not what the room's was.
            before: row
                .state_key
                .filter(|_| row.state_after == row.room_root)
                .map(|key| (row.state_before, key)),
        })
    }

    /// A change that came of bringing branches together.
    pub(crate) fn by_resolution(room: RoomNid, user: UserNid, membership: Membership, position: Sequence) -> Self {
        Self {
            position,
            room,
            user,
            membership,
            before: None,
        }
    }
}

/// The latest changes.
pub(crate) type MemberChanges = Recent<MemberChange>;

pub(crate) fn recent() -> MemberChanges {
    Recent::new(RECENT_MAX)
}

impl Store {
    /// The member events in (after, `up_to`] of any room, oldest first, if this process remembers all of them.
    pub fn recent_member_changes(&self, after: Sequence, up_to: Sequence) -> Option<Vec<MemberChange>> {
        let changes = self.caches().member_changes.between(after, up_to)?;
        Some(changes.into_iter().map(|(_, change)| change).collect())
    }

    /// The member events in (after, `up_to`] of some rooms, oldest first, from the database; none if there are more than [`CHANGES_MAX`].
    pub async fn member_changes(
        &self,
        rooms: &[RoomNid],
        after: Sequence,
        up_to: Sequence,
    ) -> Result<Option<Vec<MemberChange>>, StoreError> {
        let sql = "-- member_changes::between
            SELECT position, room_nid, user_nid, membership FROM memberships
            WHERE room_nid = ANY($1) AND position > $2 AND position <= $3 ORDER BY position LIMIT $4";
        let rooms = Value::Ints(rooms.iter().map(|room| room.0).collect());
        let limit = Value::Int(i64::try_from(CHANGES_MAX + 1).unwrap_or(i64::MAX));
        let rows = self.db().query(sql, &[rooms, after.int(), up_to.int(), limit]).await?;
        if rows.len() > CHANGES_MAX {
            return Ok(None);
        }
        rows.iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// What a member was to the room before a change. The state before it is at hand more often than the database's history of memberships.
    pub async fn membership_before(&self, change: &MemberChange) -> Result<Option<Membership>, StoreError> {
        let member = match change.before {
            Some((state, key)) => self.state_get(change.room, state, key).await,
            None => return self.past_membership(change).await,
        };
        let event = match member {
            Ok(Some(event)) => self.event(event).await?,
            Ok(None) => return Ok(None),
            // The nodes of a state that nobody refers to any more go away, as events do that are purged.
            Err(StoreError::Node { .. }) => None,
            Err(error) => return Err(error),
        };
        let Some(event) = event else {
            return self.past_membership(change).await;
        };
        let word = event.body.content_string("membership");
        Ok(word.and_then(|word| Membership::parse(&word)))
    }

    async fn past_membership(&self, change: &MemberChange) -> Result<Option<Membership>, StoreError> {
        let before = self
            .membership_at(change.user, change.room, change.position - 1)
            .await?;
        Ok(before.map(|before| before.membership))
    }
}

fn read(row: &DbRow) -> Result<MemberChange, StoreError> {
    let code = row.int(3)?;
    let membership = Membership::from_code(code);
    Ok(MemberChange {
        position: row.int(0)?,
        room: RoomNid(row.int(1)?),
        user: UserNid(row.int(2)?),
        membership: membership.ok_or_else(|| StoreError::corrupt("memberships", format!("membership {code}")))?,
        before: None,
    })
}

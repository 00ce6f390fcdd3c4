//! Table `memberships`: the history of every membership, one row for each member event. What somebody is to a room at a place in the log is the last row up
//! to that place.
//!
//! Two views of the newest rows are kept in memory and corrected by the log: the rooms of a user, and the users of a room.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use plexus_core::{
    ids::{EventNid, RoomNid, UserNid},
    position::Sequence,
    row::Membership,
};

use crate::{
    Store, StoreError,
    cache::{CacheUse, Changing, bounded},
    db::{DbRow, Statement, Value},
    sql::{Int as _, one_row},
};

/// Bounds each of the two views.
const CACHE_BYTES: u64 = 32 << 20;

/// What an entry of a view takes up in memory, about.
const ENTRY_BYTES: u64 = 80;

/// A user's relation to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomMembership {
    /// What the user is to the room.
    pub membership: Membership,
    /// The member event that says so.
    pub event: EventNid,
    /// Since when.
    pub position: Sequence,
    /// Whether the user has forgotten the room since. Only a user's own rooms say so.
    pub forgotten: bool,
}

/// The newest memberships of one user by room, or of one room by user. As new as the rows this process has applied, or newer: each entry says since when
/// it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Memberships<K: Ord> {
    newest: BTreeMap<K, RoomMembership>,
    /// The keys by the places of their entries; a room that came from elsewhere has many at one place.
    by_position: BTreeSet<(Sequence, K)>,
    joined: usize,
    invited: usize,
}

/// A user's rooms, those he has left as well.
pub type UserRooms = Memberships<RoomNid>;

/// A room's users, those who have left as well.
pub type RoomMembers = Memberships<UserNid>;

impl<K: Ord> Default for Memberships<K> {
    fn default() -> Self {
        Self {
            newest: BTreeMap::new(),
            by_position: BTreeSet::new(),
            joined: 0,
            invited: 0,
        }
    }
}

impl<K: Ord + Copy> Memberships<K> {
    /// The membership of one.
    pub fn get(&self, key: K) -> Option<RoomMembership> {
        self.newest.get(&key).copied()
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = (K, RoomMembership)> + '_ {
        self.newest.iter().map(|(key, entry)| (*key, *entry))
    }

    /// Those with one membership.
    pub fn with(&self, membership: Membership) -> impl Iterator<Item = (K, RoomMembership)> + '_ {
        self.iter().filter(move |(_, entry)| entry.membership == membership)
    }

    /// How many are joined.
    pub fn joined(&self) -> usize {
        self.joined
    }

    /// How many are invited.
    pub fn invited(&self) -> usize {
        self.invited
    }

    /// The place of the last change of any of them.
    pub fn last_change(&self) -> Sequence {
        self.by_position.last().map_or(0, |(position, _)| *position)
    }

    /// All of them, what has been so for longest first.
    pub fn oldest_first(&self) -> impl Iterator<Item = (K, RoomMembership)> + '_ {
        self.by_position
            .iter()
            .filter_map(|(_, key)| Some((*key, self.get(*key)?)))
    }

    /// Those that have changed after a place.
    fn changed_after(&self, position: Sequence) -> Vec<(K, RoomMembership)> {
        let newest_first = self.by_position.iter().rev();
        newest_first
            .take_while(|(changed, _)| *changed > position)
            .filter_map(|(_, key)| Some((*key, self.get(*key)?)))
            .collect()
    }

    /// Puts in an entry, unless there is a newer one.
    fn put(&mut self, key: K, entry: RoomMembership) {
        if self
            .newest
            .get(&key)
            .is_some_and(|newest| newest.position >= entry.position)
        {
            return;
        }
        self.take(key);
        self.newest.insert(key, entry);
        self.by_position.insert((entry.position, key));
        self.count(entry.membership, 1);
    }

    /// Takes out an entry.
    fn take(&mut self, key: K) {
        if let Some(before) = self.newest.remove(&key) {
            self.by_position.remove(&(before.position, key));
            self.count(before.membership, -1);
        }
    }

    /// Marks an entry of somebody who is out of the room as forgotten.
    fn forget(&mut self, key: K) {
        if let Some(entry) = self.newest.get_mut(&key)
            && matches!(entry.membership, Membership::Leave | Membership::Ban)
        {
            entry.forgotten = true;
        }
    }

    fn count(&mut self, membership: Membership, difference: isize) {
        let count = match membership {
            Membership::Join => &mut self.joined,
            Membership::Invite => &mut self.invited,
            Membership::Leave | Membership::Ban | Membership::Knock => return,
        };
        *count = count.saturating_add_signed(difference);
    }

    fn weight(&self) -> u64 {
        size_of::<Self>() as u64 + self.newest.len() as u64 * ENTRY_BYTES
    }
}

/// Adds a member event to the history.
pub fn insert(user: UserNid, room: RoomNid, position: Value, membership: Membership, event: EventNid) -> Statement {
    one_row(
        "-- memberships::insert
        INSERT INTO memberships (user_nid, room_nid, position, membership, event_nid) VALUES ($1, $2, $3, $4, $5)",
        [user.int(), room.int(), position, membership.code().int(), event.int()],
    )
}

/// The two views.
#[derive(Debug)]
pub(crate) struct Views {
    rooms: Changing<UserNid, Arc<UserRooms>>,
    members: Changing<RoomNid, Arc<RoomMembers>>,
}

impl Views {
    pub(crate) fn new() -> Self {
        Self {
            rooms: Changing::new(bounded(CACHE_BYTES, 1_000, |_, rooms| rooms.weight())),
            members: Changing::new(bounded(CACHE_BYTES, 2_000, |_, members| members.weight())),
        }
    }

    /// A member event was persisted.
    pub(crate) fn change(&self, user: UserNid, room: RoomNid, entry: RoomMembership) {
        self.rooms.change(&user, |rooms| Arc::make_mut(rooms).put(room, entry));
        self.members
            .change(&room, |members| Arc::make_mut(members).put(user, entry));
    }

    /// A user has forgotten a room.
    pub(crate) fn forget(&self, user: UserNid, room: RoomNid) {
        self.rooms.change(&user, |rooms| Arc::make_mut(rooms).forget(room));
    }

    /// A room is gone. Who was in it is not at hand, and rooms go seldom: the rooms of every user are read again.
    pub(crate) fn forget_room(&self, room: RoomNid) {
        self.rooms.forget_all();
        self.members.forget(&room);
    }

    pub(crate) fn forget_all(&self) {
        self.rooms.forget_all();
        self.members.forget_all();
    }

    pub(crate) fn usage(&self) -> [CacheUse; 2] {
        [self.rooms.usage("user_rooms"), self.members.usage("room_members")]
    }
}

impl Store {
    /// A user's rooms, as new as this process knows.
    pub async fn user_rooms(&self, user: UserNid) -> Result<Arc<UserRooms>, StoreError> {
        self.caches()
            .memberships
            .rooms
            .get_or_load(&user, || self.load_user_rooms(user))
            .await
    }

    /// The rooms a user is joined to, if they are in memory.
    pub fn kept_joined_rooms(&self, user: UserNid) -> Option<Vec<RoomNid>> {
        let rooms = self.caches().memberships.rooms.get(&user)?;
        Some(rooms.with(Membership::Join).map(|(room, _)| room).collect())
    }

    /// A room's users, as new as this process knows.
    pub async fn room_members(&self, room: RoomNid) -> Result<Arc<RoomMembers>, StoreError> {
        self.caches()
            .memberships
            .members
            .get_or_load(&room, || self.load_room_members(room))
            .await
    }

    /// The guests who have ever been in a room.
    pub async fn room_guests(&self, room: RoomNid) -> Result<Vec<UserNid>, StoreError> {
        let sql = "-- memberships::room_guests
            SELECT DISTINCT m.user_nid FROM memberships m JOIN accounts a ON a.user_nid = m.user_nid
            WHERE m.room_nid = $1 AND a.guest = $2 ORDER BY m.user_nid";
        let rows = self.db().query(sql, &[room.int(), Value::Bool(true)]).await?;
        rows.iter().map(|row| Ok(UserNid(row.int(0)?))).collect()
    }

    /// A user's rooms as they were at a place that this process has reached.
    pub async fn user_rooms_at(&self, user: UserNid, up_to: Sequence) -> Result<Arc<UserRooms>, StoreError> {
        let mut rooms = self.user_rooms(user).await?;
        let changed = rooms.changed_after(up_to);
        for (room, entry) in changed {
            let corrected = self.corrected(user, room, entry, up_to).await?;
            let rooms = Arc::make_mut(&mut rooms);
            rooms.take(room);
            if let Some(entry) = corrected {
                rooms.put(room, entry);
            }
        }
        Ok(rooms)
    }

    /// A room's users as they were at a place that this process has reached.
    pub async fn room_members_at(&self, room: RoomNid, up_to: Sequence) -> Result<Arc<RoomMembers>, StoreError> {
        let mut members = self.room_members(room).await?;
        let changed = members.changed_after(up_to);
        for (user, entry) in changed {
            let corrected = self.corrected(user, room, entry, up_to).await?;
            let members = Arc::make_mut(&mut members);
            members.take(user);
            if let Some(entry) = corrected {
                members.put(user, entry);
            }
        }
        Ok(members)
    }

    /// What a user was to a room at a place that this process has reached; none if he had never been anything to it.
    pub async fn membership_at(
        &self,
        user: UserNid,
        room: RoomNid,
        up_to: Sequence,
    ) -> Result<Option<RoomMembership>, StoreError> {
        match self.user_rooms(user).await?.get(room) {
            Some(entry) => self.corrected(user, room, entry, up_to).await,
            None => Ok(None),
        }
    }

    /// The newest entry if it was there at `up_to`, or else the one that was.
    async fn corrected(
        &self,
        user: UserNid,
        room: RoomNid,
        newest: RoomMembership,
        up_to: Sequence,
    ) -> Result<Option<RoomMembership>, StoreError> {
        if newest.position <= up_to {
            return Ok(Some(newest));
        }
        let sql = "-- memberships::membership_at
            SELECT membership, event_nid, position FROM memberships WHERE user_nid = $1 AND room_nid = $2 AND position <= $3
            ORDER BY position DESC LIMIT 1";
        let row = self.db().query_opt(sql, &[user.int(), room.int(), up_to.int()]).await?;
        row.as_ref().map(|row| read(row, 0)).transpose()
    }

    async fn load_user_rooms(&self, user: UserNid) -> Result<Arc<UserRooms>, StoreError> {
        let sql = "-- memberships::user_rooms
            SELECT m.room_nid, m.membership, m.event_nid, m.position, COALESCE(f.position, 0)
            FROM memberships m LEFT JOIN forgotten_rooms f ON f.user_nid = m.user_nid AND f.room_nid = m.room_nid
            WHERE m.user_nid = $1 ORDER BY m.room_nid, m.position";
        let mut rooms = UserRooms::default();
        for row in self.db().query(sql, &[user.int()]).await? {
            let mut entry = read(&row, 1)?;
            entry.forgotten = row.int(4)? > entry.position;
            rooms.put(RoomNid(row.int(0)?), entry);
        }
        Ok(Arc::new(rooms))
    }

    async fn load_room_members(&self, room: RoomNid) -> Result<Arc<RoomMembers>, StoreError> {
        let sql = "-- memberships::room_members
            SELECT user_nid, membership, event_nid, position FROM memberships WHERE room_nid = $1 ORDER BY position";
        let mut members = RoomMembers::default();
        for row in self.db().query(sql, &[room.int()]).await? {
            members.put(UserNid(row.int(0)?), read(&row, 1)?);
        }
        Ok(Arc::new(members))
    }
}

/// An entry whose columns begin at `first`.
fn read(row: &DbRow, first: usize) -> Result<RoomMembership, StoreError> {
    let code = row.int(first)?;
    let membership =
        Membership::from_code(code).ok_or_else(|| StoreError::corrupt("memberships", format!("membership {code}")))?;
    Ok(RoomMembership {
        membership,
        event: EventNid(row.int(first + 1)?),
        position: row.int(first + 2)?,
        forgotten: false,
    })
}

#[cfg(test)]
mod tests;

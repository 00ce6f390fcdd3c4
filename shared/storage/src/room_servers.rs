//! Which servers are in a room: those with a joined member. A view of table `memberships`, kept in memory and corrected by the log.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
    row::Membership,
};
use ruma::{OwnedServerName, ServerName};

use crate::{
    Store, StoreError,
    cache::{CacheUse, Changing, bounded},
    db::Value,
    sql::Int as _,
};

/// Bounds the cache.
const CACHE_BYTES: u64 = 32 << 20;
/// What a joined member takes up in memory, about.
const MEMBER_BYTES: u64 = 48;
/// What a server takes up in memory besides its name, about.
const SERVER_BYTES: u64 = 80;
/// Users one query asks about.
const USERS_PER_QUERY_MAX: usize = 1_000;

/// The servers that have a joined member in a room.
#[derive(Clone, Debug, Default)]
pub struct RoomServers {
    /// The joined users, each with its server's place in `names`.
    joined: HashMap<UserNid, u32>,
    /// Every server met so far. Places never change, so names of servers that have gone stay until the room is read anew.
    names: Vec<OwnedServerName>,
    servers: BTreeMap<OwnedServerName, Counted>,
    present: usize,
    /// No change of a member is later than this.
    last_change: Sequence,
    names_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    place: u32,
    members: usize,
}

impl RoomServers {
    /// Whether a server is in the room.
    pub fn contains(&self, server: &ServerName) -> bool {
        self.servers.get(server).is_some_and(|counted| counted.members > 0)
    }

    /// How many joined members a server has.
    pub fn members_of(&self, server: &ServerName) -> usize {
        self.servers.get(server).map_or(0, |counted| counted.members)
    }

    /// The servers in the room, by name.
    pub fn iter(&self) -> impl Iterator<Item = &ServerName> {
        let present = self.servers.iter().filter(|(_, counted)| counted.members > 0);
        present.map(|(server, _)| &**server)
    }

    /// How many servers are in the room.
    pub fn len(&self) -> usize {
        self.present
    }

    /// Whether nobody is in the room.
    pub fn is_empty(&self) -> bool {
        self.present == 0
    }

    /// The place in the log of the last change of any member that is known here.
    pub fn last_change(&self) -> Sequence {
        self.last_change
    }

    fn join(&mut self, user: UserNid, server: &ServerName) {
        if self.joined.contains_key(&user) {
            return;
        }
        if !self.servers.contains_key(server) {
            let place = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
            self.names.push(server.to_owned());
            self.names_bytes += 2 * server.as_str().len() as u64;
            self.servers.insert(server.to_owned(), Counted { place, members: 0 });
        }
        if let Some(counted) = self.servers.get_mut(server) {
            counted.members += 1;
            self.present += usize::from(counted.members == 1);
            self.joined.insert(user, counted.place);
        }
    }

    /// A server is in the room, by somebody of whom nothing is known yet: it stays until the room is read anew.
    fn believe(&mut self, server: &ServerName) {
        if !self.servers.contains_key(server) {
            let place = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
            self.names.push(server.to_owned());
            self.names_bytes += 2 * server.as_str().len() as u64;
            self.servers.insert(server.to_owned(), Counted { place, members: 1 });
            self.present += 1;
        }
    }

    fn leave(&mut self, user: UserNid) {
        let place = self.joined.remove(&user);
        let server = place.and_then(|place| self.names.get(usize::try_from(place).ok()?));
        if let Some(counted) = server.and_then(|server| self.servers.get_mut(server)) {
            counted.members -= 1;
            self.present -= usize::from(counted.members == 0);
        }
    }

    fn weight(&self) -> u64 {
        size_of::<Self>() as u64
            + self.joined.len() as u64 * MEMBER_BYTES
            + self.names.len() as u64 * SERVER_BYTES
            + self.names_bytes
    }
}

/// The cache.
#[derive(Debug)]
pub(crate) struct RoomServersCache(Changing<RoomNid, Arc<RoomServers>>);

impl RoomServersCache {
    pub(crate) fn new() -> Self {
        Self(Changing::new(bounded(CACHE_BYTES, 1_000, |_, servers| {
            servers.weight()
        })))
    }

    /// A user is something else to a room. Whose user it is may not be at hand: then the room is read again.
    pub(crate) fn change(
        &self,
        (room, position): (RoomNid, Sequence),
        (user, membership): (UserNid, Membership),
        server_of: impl FnOnce() -> Option<OwnedServerName>,
    ) {
        let mut is_unknown = false;
        self.0.change(&room, |kept| {
            let is_joined = membership == Membership::Join;
            let is_other = kept.joined.contains_key(&user) != is_joined;
            let kept = Arc::make_mut(kept);
            kept.last_change = kept.last_change.max(position);
            if !is_other {
                return;
            }
            if !is_joined {
                kept.leave(user);
            } else if let Some(server) = server_of() {
                kept.join(user, &server);
            } else {
                is_unknown = true;
            }
        });
        if is_unknown {
            self.0.forget(&room);
        }
    }

    pub(crate) fn forget(&self, room: RoomNid) {
        self.0.forget(&room);
    }

    pub(crate) fn forget_all(&self) {
        self.0.forget_all();
    }

    pub(crate) fn usage(&self) -> CacheUse {
        self.0.usage("room_servers")
    }
}

impl Store {
    /// The servers in a room, as new as this process knows.
    pub async fn room_servers(&self, room: RoomNid) -> Result<Arc<RoomServers>, StoreError> {
        let cache = &self.caches().room_servers.0;
        cache.get_or_load(&room, || self.load_room_servers(room)).await
    }

    /// The servers in a room as they were at a place that this process has reached.
    pub async fn room_servers_at(&self, room: RoomNid, up_to: Sequence) -> Result<Arc<RoomServers>, StoreError> {
        let mut servers = self.room_servers(room).await?;
        if servers.last_change <= up_to {
            return Ok(servers);
        }
        let sql = "-- room_servers::changed_after
            SELECT DISTINCT user_nid FROM memberships WHERE room_nid = $1 AND position > $2";
        let rows = self.db().query(sql, &[room.int(), up_to.int()]).await?;
        let changed: Vec<i64> = rows.iter().map(|row| row.int(0)).collect::<Result<_, _>>()?;
        let then = Arc::make_mut(&mut servers);
        for chunk in changed.chunks(USERS_PER_QUERY_MAX) {
            for user in chunk {
                then.leave(UserNid(*user));
            }
            let sql = "-- room_servers::members_at
                SELECT m.user_nid FROM memberships m
                WHERE m.user_nid = ANY($1) AND m.room_nid = $2 AND m.membership = $4 AND m.position = (
                    SELECT MAX(n.position) FROM memberships n
                    WHERE n.user_nid = m.user_nid AND n.room_nid = m.room_nid AND n.position <= $3)";
            let join = Membership::Join.code().int();
            let params = [Value::Ints(chunk.to_vec()), room.int(), up_to.int(), join];
            let rows = self.db().query(sql, &params).await?;
            let users: Vec<UserNid> = rows
                .iter()
                .map(|row| Ok(UserNid(row.int(0)?)))
                .collect::<Result<_, StoreError>>()?;
            self.join_all(then, &users).await?;
        }
        then.last_change = up_to;
        Ok(servers)
    }

    async fn load_room_servers(&self, room: RoomNid) -> Result<Arc<RoomServers>, StoreError> {
        // Who is in the room is in memory already where somebody has asked for it.
        let members = self.room_members(room).await?;
        let users: Vec<UserNid> = members.with(Membership::Join).map(|(user, _)| user).collect();
        let mut servers = RoomServers {
            last_change: members.last_change(),
            ..RoomServers::default()
        };
        self.join_all(&mut servers, &users).await?;
        if let Some(partial) = self.partial_room(room).await? {
            for server in &partial.servers {
                servers.believe(server);
            }
        }
        Ok(Arc::new(servers))
    }

    async fn join_all(&self, servers: &mut RoomServers, users: &[UserNid]) -> Result<(), StoreError> {
        for (user, user_id) in users.iter().zip(self.user_ids(users).await?) {
            let user_id = user_id
                .ok_or_else(|| StoreError::corrupt("memberships", format!("user {} is not in users", user.0)))?;
            servers.join(*user, user_id.server_name());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    fn names(servers: &RoomServers) -> Vec<&str> {
        servers.iter().map(ServerName::as_str).collect()
    }

    #[test]
    fn a_server_is_there_for_as_long_as_one_of_its_users_is() {
        let mut servers = RoomServers::default();
        servers.join(UserNid(1), server_name!("b.example"));
        servers.join(UserNid(2), server_name!("a.example"));
        servers.join(UserNid(3), server_name!("b.example"));
        // A row may tell what the database had told already.
        servers.join(UserNid(3), server_name!("b.example"));
        assert_eq!(names(&servers), ["a.example", "b.example"]);
        servers.leave(UserNid(1));
        assert!(servers.contains(server_name!("b.example")));
        servers.leave(UserNid(3));
        servers.leave(UserNid(3));
        assert_eq!(names(&servers), ["a.example"]);
        assert_eq!((servers.len(), servers.members_of(server_name!("b.example"))), (1, 0));
        servers.join(UserNid(1), server_name!("b.example"));
        assert_eq!(servers.len(), 2);
        servers.believe(server_name!("c.example"));
        servers.believe(server_name!("b.example"));
        servers.join(UserNid(9), server_name!("c.example"));
        servers.leave(UserNid(9));
        assert_eq!(names(&servers), ["a.example", "b.example", "c.example"]);
    }

    #[test]
    fn rows_correct_what_is_kept() {
        let cache = RoomServersCache::new();
        let room = RoomNid(7);
        cache.0.change_or_make(&room, |_| (), Arc::default);
        let server = || Some(server_name!("a.example").to_owned());
        cache.change((room, 5), (UserNid(1), Membership::Join), server);
        cache.change((room, 6), (UserNid(2), Membership::Invite), || None);
        let kept = cache.0.get(&room).expect("it is kept");
        assert_eq!((names(&kept), kept.last_change()), (vec!["a.example"], 6));
        cache.change((room, 7), (UserNid(1), Membership::Ban), || None);
        assert!(cache.0.get(&room).expect("it is kept").is_empty());
        cache.change((room, 8), (UserNid(3), Membership::Join), || None);
        assert!(cache.0.get(&room).is_none(), "nobody knows whose user that is");
    }
}

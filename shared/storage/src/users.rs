//! Table `users`: interned user ids, local and remote. A pair never changes.

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
    row::Membership,
};
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};

use crate::{
    Store, StoreError,
    cache::{Cache, CacheUse, bounded, usage},
    db::{DbRow, Statement, Value},
    sql::{Int as _, statement, text},
};

/// Bounds each direction of the cache.
const CACHE_BYTES: u64 = 8 << 20;

/// Most users one query asks for.
const USERS_PER_QUERY_MAX: usize = 1_000;

/// Interns a user, unless that is done: every change set that uses a new number brings it.
pub fn insert(user: UserNid, user_id: &UserId) -> Statement {
    statement(
        "-- users::insert
        INSERT INTO users (user_nid, user_id, server) VALUES ($1, $2, $3) ON CONFLICT (user_nid) DO NOTHING",
        [user.int(), text(user_id.as_str()), text(user_id.server_name().as_str())],
    )
}

/// What has been read of the table.
#[derive(Debug)]
pub(crate) struct Users {
    nids: Cache<OwnedUserId, UserNid>,
    ids: Cache<UserNid, OwnedUserId>,
}

impl Users {
    pub(crate) fn new() -> Self {
        Self {
            nids: bounded(CACHE_BYTES, 40, |id, _| id.as_str().len() as u64 + 24),
            ids: bounded(CACHE_BYTES, 40, |_, id| id.as_str().len() as u64 + 24),
        }
    }

    pub(crate) fn usage(&self) -> [CacheUse; 2] {
        [usage("user_nids", &self.nids), usage("user_ids", &self.ids)]
    }

    /// The server of a user whose id has been read before.
    pub(crate) fn kept_server(&self, user: UserNid) -> Option<OwnedServerName> {
        self.ids.get(&user).map(|user_id| user_id.server_name().to_owned())
    }

    fn keep(&self, user: UserNid, user_id: &UserId) {
        self.nids.insert(user_id.to_owned(), user);
        self.ids.insert(user, user_id.to_owned());
    }
}

impl Store {
    /// The number that stands for a user; none if nobody here ever met him.
    pub async fn user_nid(&self, user_id: &UserId) -> Result<Option<UserNid>, StoreError> {
        if let Some(user) = self.caches().users.nids.get(user_id) {
            return Ok(Some(user));
        }
        let sql = "-- users::user_nid
            SELECT user_nid FROM users WHERE user_id = $1";
        let Some(row) = self.db().query_opt(sql, &[text(user_id.as_str())]).await? else {
            return Ok(None);
        };
        let user = UserNid(row.int(0)?);
        self.caches().users.keep(user, user_id);
        Ok(Some(user))
    }

    /// The id of a user.
    pub async fn user_id(&self, user: UserNid) -> Result<Option<OwnedUserId>, StoreError> {
        if let Some(user_id) = self.caches().users.ids.get(&user) {
            return Ok(Some(user_id));
        }
        Ok(self.user_ids(&[user]).await?.pop().flatten())
    }

    /// The ids of users, in the order asked for.
    pub async fn user_ids(&self, users: &[UserNid]) -> Result<Vec<Option<OwnedUserId>>, StoreError> {
        let cache = &self.caches().users;
        let mut found: Vec<_> = users.iter().map(|user| cache.ids.get(user)).collect();
        let missing: Vec<usize> = (0..users.len()).filter(|at| found[*at].is_none()).collect();
        for chunk in missing.chunks(USERS_PER_QUERY_MAX) {
            let sql = "-- users::user_ids
                SELECT user_nid, user_id FROM users WHERE user_nid = ANY($1)";
            let nids = chunk.iter().map(|at| users[*at].0).collect();
            for row in self.db().query(sql, &[Value::Ints(nids)]).await? {
                let (user, user_id) = read(&row)?;
                cache.keep(user, &user_id);
                for at in chunk.iter().filter(|at| users[**at] == user) {
                    found[*at] = Some(user_id.clone());
                }
            }
        }
        Ok(found)
    }
}

impl Store {
    /// The rooms that users of a server have ever been anything to.
    pub async fn rooms_of_server(&self, server: &ServerName) -> Result<Vec<RoomNid>, StoreError> {
        let sql = "-- users::rooms_of_server
            SELECT DISTINCT m.room_nid FROM users u JOIN memberships m ON m.user_nid = u.user_nid WHERE u.server = $1";
        let rows = self.db().query(sql, &[text(server.as_str())]).await?;
        rows.iter().map(|row| Ok(RoomNid(row.int(0)?))).collect()
    }

    /// The place of the last change of any member of a room that is a user of a server.
    pub async fn last_member_change_of_server(
        &self,
        room: RoomNid,
        server: &ServerName,
    ) -> Result<Option<Sequence>, StoreError> {
        let sql = "-- users::last_member_change_of_server
            SELECT MAX(m.position) FROM users u JOIN memberships m ON m.user_nid = u.user_nid WHERE u.server = $1 AND m.room_nid = $2";
        let row = self.db().query_opt(sql, &[text(server.as_str()), room.int()]).await?;
        Ok(row.map(|row| row.opt_int(0)).transpose()?.flatten())
    }

    /// The users of a server who came into a room in (after, `up_to`], or said something new of themselves there; at most `limit`.
    pub async fn joins_of_server(
        &self,
        room: RoomNid,
        server: &ServerName,
        (after, up_to): (Sequence, Sequence),
        limit: i64,
    ) -> Result<Vec<UserNid>, StoreError> {
        let sql = "-- users::joins_of_server
            SELECT DISTINCT m.user_nid FROM memberships m JOIN users u ON u.user_nid = m.user_nid
            WHERE m.room_nid = $1 AND u.server = $2 AND m.position > $3 AND m.position <= $4 AND m.membership = $5 LIMIT $6";
        let join = Membership::Join.code();
        let params = [
            room.int(),
            text(server.as_str()),
            after.int(),
            up_to.int(),
            join.int(),
            limit.int(),
        ];
        let rows = self.db().query(sql, &params).await?;
        rows.iter().map(|row| Ok(UserNid(row.int(0)?))).collect()
    }

    /// The servers whose users are known, by name, a page at a time.
    pub async fn known_servers(
        &self,
        after: Option<&ServerName>,
        limit: i64,
    ) -> Result<Vec<OwnedServerName>, StoreError> {
        let sql = "-- users::known_servers
            SELECT DISTINCT server FROM users WHERE server > $1 ORDER BY server LIMIT $2";
        let after = text(after.map_or("", ServerName::as_str));
        let rows = self.db().query(sql, &[after, limit.int()]).await?;
        let servers = rows.iter().map(|row| {
            ServerName::parse(row.text(0)?).map_err(|error| StoreError::corrupt("users", error.to_string()))
        });
        servers.collect()
    }
}

fn read(row: &DbRow) -> Result<(UserNid, OwnedUserId), StoreError> {
    let user_id = UserId::parse(row.text(1)?).map_err(|error| StoreError::corrupt("users", error.to_string()))?;
    Ok((UserNid(row.int(0)?), user_id))
}

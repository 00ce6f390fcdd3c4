//! Table `key_backup_sessions`: the room keys in a version of a key backup. Free, and written only with the version's `etag`
//! ([`change_key_backup`](crate::Store::change_key_backup)).

use bytes::Bytes;
use plexus_core::ids::UserNid;

use crate::{
    Store, StoreError,
    db::{DbRow, Statement},
    sql::{Int as _, bytes, one_row, statement, text},
};

/// A room key of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSession {
    /// The room.
    pub room_id: String,
    /// The megolm session.
    pub session_id: String,
    /// How good it is.
    pub rank: SessionRank,
    /// The encrypted key, as JSON.
    pub session_data: Bytes,
}

/// What makes one copy of a room key better than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRank {
    /// The first message it can decrypt.
    pub first_message_index: i64,
    /// How many hands it has gone through.
    pub forwarded_count: i64,
    /// Whether the device that backed it up verified where it came from.
    pub is_verified: bool,
}

/// Which keys of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// All of them.
    All,
    /// Those of a room.
    Room(&'a str),
    /// One.
    Session(&'a str, &'a str),
}

/// Puts in a key, in place of another of the same session.
pub fn upsert(user: UserNid, version: i64, session: &BackupSession) -> Statement {
    one_row(
        "-- key_backup_sessions::upsert
        INSERT INTO key_backup_sessions (user_nid, version, room_id, session_id, first_message_index, forwarded_count, is_verified, session_data)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (user_nid, version, room_id, session_id) DO UPDATE SET first_message_index = excluded.first_message_index,
            forwarded_count = excluded.forwarded_count, is_verified = excluded.is_verified, session_data = excluded.session_data",
        [
            user.int(),
            version.int(),
            text(&session.room_id),
            text(&session.session_id),
            session.rank.first_message_index.int(),
            session.rank.forwarded_count.int(),
            session.rank.is_verified.into(),
            bytes(&session.session_data),
        ],
    )
}

/// Takes keys out.
pub fn delete(user: UserNid, version: i64, which: Which<'_>) -> Statement {
    match which {
        Which::All => statement(
            "-- key_backup_sessions::delete_all
            DELETE FROM key_backup_sessions WHERE user_nid = $1 AND version = $2",
            [user.int(), version.int()],
        ),
        Which::Room(room_id) => statement(
            "-- key_backup_sessions::delete_of_room
            DELETE FROM key_backup_sessions WHERE user_nid = $1 AND version = $2 AND room_id = $3",
            [user.int(), version.int(), text(room_id)],
        ),
        Which::Session(room_id, session_id) => statement(
            "-- key_backup_sessions::delete_session
            DELETE FROM key_backup_sessions WHERE user_nid = $1 AND version = $2 AND room_id = $3 AND session_id = $4",
            [user.int(), version.int(), text(room_id), text(session_id)],
        ),
    }
}

impl Store {
    /// The keys of a version that follow the key `after` in the order of room and session, at most `limit`.
    pub async fn backup_sessions(
        &self,
        user: UserNid,
        version: i64,
        after: (&str, &str),
        limit: i64,
    ) -> Result<Vec<BackupSession>, StoreError> {
        let sql = "-- key_backup_sessions::page
            SELECT room_id, session_id, first_message_index, forwarded_count, is_verified, session_data FROM key_backup_sessions
            WHERE user_nid = $1 AND version = $2 AND (room_id, session_id) > ($3, $4) ORDER BY room_id, session_id LIMIT $5";
        let params = [user.int(), version.int(), text(after.0), text(after.1), limit.int()];
        self.db().query(sql, &params).await?.iter().map(read).collect()
    }

    /// The keys of one room in a version that follow the session `after`, at most `limit`.
    pub async fn backup_sessions_of_room(
        &self,
        user: UserNid,
        version: i64,
        room_id: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<BackupSession>, StoreError> {
        let sql = "-- key_backup_sessions::page_of_room
            SELECT room_id, session_id, first_message_index, forwarded_count, is_verified, session_data FROM key_backup_sessions
            WHERE user_nid = $1 AND version = $2 AND room_id = $3 AND session_id > $4 ORDER BY session_id LIMIT $5";
        let params = [user.int(), version.int(), text(room_id), text(after), limit.int()];
        self.db().query(sql, &params).await?.iter().map(read).collect()
    }

    /// One key of a version.
    pub async fn backup_session(
        &self,
        user: UserNid,
        version: i64,
        room_id: &str,
        session_id: &str,
    ) -> Result<Option<BackupSession>, StoreError> {
        let sql = "-- key_backup_sessions::session
            SELECT room_id, session_id, first_message_index, forwarded_count, is_verified, session_data FROM key_backup_sessions
            WHERE user_nid = $1 AND version = $2 AND room_id = $3 AND session_id = $4";
        let params = [user.int(), version.int(), text(room_id), text(session_id)];
        let row = self.db().query_opt(sql, &params).await?;
        row.as_ref().map(read).transpose()
    }

    /// How good the keys of one room in a version are, by session; at most `limit`.
    pub async fn backup_ranks(
        &self,
        user: UserNid,
        version: i64,
        room_id: &str,
        limit: i64,
    ) -> Result<Vec<(String, SessionRank)>, StoreError> {
        let sql = "-- key_backup_sessions::ranks
            SELECT session_id, first_message_index, forwarded_count, is_verified FROM key_backup_sessions
            WHERE user_nid = $1 AND version = $2 AND room_id = $3 LIMIT $4";
        let params = [user.int(), version.int(), text(room_id), limit.int()];
        let rows = self.db().query(sql, &params).await?;
        rows.iter()
            .map(|row| Ok((row.text(0)?.to_owned(), read_rank(row, 1)?)))
            .collect()
    }

    /// How many keys these are.
    pub async fn count_backup_sessions(
        &self,
        user: UserNid,
        version: i64,
        which: Which<'_>,
    ) -> Result<i64, StoreError> {
        let (sql, params) = match which {
            Which::All => (
                "-- key_backup_sessions::count_all
                SELECT COUNT(*) FROM key_backup_sessions WHERE user_nid = $1 AND version = $2",
                vec![user.int(), version.int()],
            ),
            Which::Room(room_id) => (
                "-- key_backup_sessions::count_of_room
                SELECT COUNT(*) FROM key_backup_sessions WHERE user_nid = $1 AND version = $2 AND room_id = $3",
                vec![user.int(), version.int(), text(room_id)],
            ),
            Which::Session(room_id, session_id) => (
                "-- key_backup_sessions::count_session
                SELECT COUNT(*) FROM key_backup_sessions WHERE user_nid = $1 AND version = $2 AND room_id = $3 AND session_id = $4",
                vec![user.int(), version.int(), text(room_id), text(session_id)],
            ),
        };
        let row = self.db().query_opt(sql, &params).await?;
        Ok(row.map(|row| row.int(0)).transpose()?.unwrap_or_default())
    }
}

fn read(row: &DbRow) -> Result<BackupSession, StoreError> {
    Ok(BackupSession {
        room_id: row.text(0)?.to_owned(),
        session_id: row.text(1)?.to_owned(),
        rank: read_rank(row, 2)?,
        session_data: row.bytes(5)?,
    })
}

fn read_rank(row: &DbRow, first: usize) -> Result<SessionRank, StoreError> {
    Ok(SessionRank {
        first_message_index: row.int(first)?,
        forwarded_count: row.int(first + 1)?,
        is_verified: row.bool(first + 2)?,
    })
}

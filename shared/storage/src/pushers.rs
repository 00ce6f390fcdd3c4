//! Tables `pushers` and `pusher_cursors`: where devices want to be told of events, and how far each has been told.

use bytes::Bytes;
use plexus_core::{ids::UserNid, position::Sequence};
use ruma::{DeviceId, OwnedDeviceId};
use tokio::sync::watch;

use crate::{
    Store, StoreError,
    db::{DbRow, Statement, Value},
    sql::{Int as _, bytes, one_row, opt_text, statement, text},
};

/// Most pushers of one user.
pub const PUSHERS_PER_USER_MAX: i64 = 100;

/// What tells pushers apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PusherKey {
    /// Whose it is.
    pub user: UserNid,
    /// The application that made it.
    pub app_id: String,
    /// The application's name for the device.
    pub pushkey: String,
}

/// Where a device wants to be told of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pusher {
    /// What tells it apart.
    pub key: PusherKey,
    /// The device whose session made it; it goes with the device.
    pub device_id: OwnedDeviceId,
    /// Where it was made: it is told of what comes after.
    pub position: Sequence,
    /// The application, for people.
    pub app_display_name: String,
    /// The device, for people.
    pub device_display_name: String,
    /// The set of push rules it was made for.
    pub profile_tag: Option<String>,
    /// The language it wants to be told in.
    pub lang: String,
    /// `data` as the client gave it: a JSON object.
    pub data: Bytes,
}

/// Makes a pusher, or changes it. One that is changed goes on where it is: applications set theirs again whenever they start.
pub fn upsert(pusher: &Pusher, position: Value) -> Statement {
    one_row(
        "-- pushers::upsert
        INSERT INTO pushers (user_nid, app_id, pushkey, device_id, position, app_display_name, device_display_name, profile_tag, lang, data)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (user_nid, app_id, pushkey) DO UPDATE SET device_id = excluded.device_id,
            app_display_name = excluded.app_display_name, device_display_name = excluded.device_display_name,
            profile_tag = excluded.profile_tag, lang = excluded.lang, data = excluded.data",
        [
            pusher.key.user.int(),
            text(&pusher.key.app_id),
            text(&pusher.key.pushkey),
            text(pusher.device_id.as_str()),
            position,
            text(&pusher.app_display_name),
            text(&pusher.device_display_name),
            opt_text(pusher.profile_tag.as_deref()),
            text(&pusher.lang),
            bytes(&pusher.data),
        ],
    )
}

/// Removes a pusher and what is known of how far it was told.
pub fn delete(key: &PusherKey) -> [Statement; 2] {
    let params = || [key.user.int(), text(&key.app_id), text(&key.pushkey)];
    [
        statement(
            "-- pushers::delete
            DELETE FROM pushers WHERE user_nid = $1 AND app_id = $2 AND pushkey = $3",
            params(),
        ),
        statement(
            "-- pushers::delete_cursor
            DELETE FROM pusher_cursors WHERE user_nid = $1 AND app_id = $2 AND pushkey = $3",
            params(),
        ),
    ]
}

/// Removes the pushers that a device has made.
pub fn delete_of_device(user: UserNid, device: &DeviceId) -> Statement {
    statement(
        "-- pushers::delete_of_device
        DELETE FROM pushers WHERE user_nid = $1 AND device_id = $2",
        [user.int(), text(device.as_str())],
    )
}

/// Says when pushers have changed.
pub(crate) type PushersChanged = watch::Sender<Sequence>;

impl Store {
    /// Follows the changes of pushers: the place of the last one.
    pub fn pushers_changed(&self) -> watch::Receiver<Sequence> {
        self.caches().pushers_changed.subscribe()
    }

    /// The pushers of a user.
    pub async fn pushers(&self, user: UserNid) -> Result<Vec<Pusher>, StoreError> {
        let sql = "-- pushers::pushers
            SELECT user_nid, app_id, pushkey, device_id, position, app_display_name, device_display_name, profile_tag, lang, data
            FROM pushers WHERE user_nid = $1 ORDER BY app_id, pushkey LIMIT $2";
        let rows = self.db().query(sql, &[user.int(), PUSHERS_PER_USER_MAX.int()]).await?;
        rows.iter().map(read).collect()
    }

    /// Every pusher there is whose user comes after a user, a page at a time; all of a user's are on one page.
    pub async fn pushers_after(&self, user: UserNid, users: i64) -> Result<Vec<Pusher>, StoreError> {
        let sql = "-- pushers::pushers_after
            SELECT user_nid, app_id, pushkey, device_id, position, app_display_name, device_display_name, profile_tag, lang, data
            FROM pushers WHERE user_nid IN (SELECT DISTINCT user_nid FROM pushers WHERE user_nid > $1 ORDER BY user_nid LIMIT $2)
            ORDER BY user_nid, app_id, pushkey";
        let rows = self.db().query(sql, &[user.int(), users.int()]).await?;
        rows.iter().map(read).collect()
    }

    /// Everybody's pushers with this application and key.
    pub async fn pushers_of_key(&self, app_id: &str, pushkey: &str) -> Result<Vec<PusherKey>, StoreError> {
        let sql = "-- pushers::pushers_of_key
            SELECT user_nid, app_id, pushkey FROM pushers WHERE app_id = $1 AND pushkey = $2 LIMIT $3";
        let params = [text(app_id), text(pushkey), PUSHERS_PER_USER_MAX.int()];
        let rows = self.db().query(sql, &params).await?;
        rows.iter().map(read_key).collect()
    }

    /// How far a pusher has been told, if it has been told anything.
    pub async fn pusher_cursor(&self, key: &PusherKey) -> Result<Option<Sequence>, StoreError> {
        let sql = "-- pushers::pusher_cursor
            SELECT position FROM pusher_cursors WHERE user_nid = $1 AND app_id = $2 AND pushkey = $3";
        let params = [key.user.int(), text(&key.app_id), text(&key.pushkey)];
        let row = self.db().query_opt(sql, &params).await?;
        Ok(row.map(|row| row.int(0)).transpose()?)
    }

    /// Remembers how far a pusher has been told. It never goes back, whoever else tells it at the same time.
    pub async fn move_pusher_cursor(&self, key: &PusherKey, position: Sequence) -> Result<(), StoreError> {
        let moved = statement(
            "-- pushers::move_pusher_cursor
            INSERT INTO pusher_cursors (user_nid, app_id, pushkey, position) VALUES ($1, $2, $3, $4)
            ON CONFLICT (user_nid, app_id, pushkey) DO UPDATE SET position = excluded.position
            WHERE pusher_cursors.position < excluded.position",
            [key.user.int(), text(&key.app_id), text(&key.pushkey), position.int()],
        );
        self.db().execute(moved).await?;
        Ok(())
    }
}

fn read_key(row: &DbRow) -> Result<PusherKey, StoreError> {
    Ok(PusherKey {
        user: UserNid(row.int(0)?),
        app_id: row.text(1)?.to_owned(),
        pushkey: row.text(2)?.to_owned(),
    })
}

fn read(row: &DbRow) -> Result<Pusher, StoreError> {
    Ok(Pusher {
        key: read_key(row)?,
        device_id: row.text(3)?.into(),
        position: row.int(4)?,
        app_display_name: row.text(5)?.to_owned(),
        device_display_name: row.text(6)?.to_owned(),
        profile_tag: row.opt_text(7)?.map(str::to_owned),
        lang: row.text(8)?.to_owned(),
        data: row.bytes(9)?,
    })
}

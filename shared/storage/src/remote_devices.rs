//! Tables `remote_device_lists` and `remote_devices`: devices of users of other servers, as their servers tell of them.
//!
//! A list is as good as what was heard of it since it was asked for whole: a server tells of changes only while it sees somebody of this server in a room
//! with the user. So whoever reads a list asks since when that has been so without a break ([`Store::in_rooms_since`], [`Store::longest_here`]).

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
};
use ruma::DeviceId;

use crate::{
    Store, StoreError,
    db::{DbRow, Statement, Value},
    device_keys::DeviceKeys,
    sql::{Int as _, bytes, one_row, opt_text, statement, text},
};

/// Most devices of one user that are kept.
pub const REMOTE_DEVICES_MAX: usize = 1_000;
/// Most devices that are read for one batch of users.
const DEVICES_READ_MAX: i64 = 50_000;
/// Most rooms in which users are, as far as is read for one batch of them.
const ROOMS_READ_MAX: i64 = 50_000;

/// How current the list of a user's devices is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteDeviceList {
    /// Whose devices.
    pub user: UserNid,
    /// The last change that is known, by the count of the user's server.
    pub stream_id: i64,
    /// The place in the log that was reached when the list was asked for.
    pub as_of: Sequence,
    /// Whether it lacks a change.
    pub stale: bool,
}

/// A device of a user of another server.
#[derive(Clone, Copy, Debug)]
pub struct RemoteDevice<'a> {
    /// Its id.
    pub device_id: &'a DeviceId,
    /// What the user calls it.
    pub display_name: Option<&'a str>,
    /// Its keys, JSON.
    pub json: &'a [u8],
}

/// Writes how current a list is that was asked for whole.
pub fn upsert_list(list: &RemoteDeviceList) -> Statement {
    one_row(
        "-- remote_devices::upsert_list
        INSERT INTO remote_device_lists (user_nid, stream_id, as_of, stale) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_nid) DO UPDATE SET stream_id = excluded.stream_id, as_of = excluded.as_of, stale = excluded.stale",
        [
            list.user.int(),
            list.stream_id.int(),
            list.as_of.int(),
            Value::Bool(list.stale),
        ],
    )
}

/// Moves a list to its next change, or marks it as stale: from `before`, which it has to be still.
pub fn change_list(before: &RemoteDeviceList, stream_id: i64, stale: bool) -> Statement {
    one_row(
        "-- remote_devices::change_list
        UPDATE remote_device_lists SET stream_id = $2, stale = $3 WHERE user_nid = $1 AND stream_id = $4 AND stale = $5",
        [
            before.user.int(),
            stream_id.int(),
            Value::Bool(stale),
            before.stream_id.int(),
            Value::Bool(before.stale),
        ],
    )
}

/// Sets a device of a list.
pub fn upsert(user: UserNid, device: &RemoteDevice<'_>) -> Statement {
    one_row(
        "-- remote_devices::upsert
        INSERT INTO remote_devices (user_nid, device_id, display_name, json) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_nid, device_id) DO UPDATE SET display_name = excluded.display_name, json = excluded.json",
        [
            user.int(),
            text(device.device_id.as_str()),
            opt_text(device.display_name),
            bytes(device.json),
        ],
    )
}

/// Takes a device from a list, if it is there.
pub fn delete(user: UserNid, device_id: &DeviceId) -> Statement {
    statement(
        "-- remote_devices::delete
        DELETE FROM remote_devices WHERE user_nid = $1 AND device_id = $2",
        [user.int(), text(device_id.as_str())],
    )
}

/// Empties a list.
pub fn delete_all(user: UserNid) -> Statement {
    statement(
        "-- remote_devices::delete_all
        DELETE FROM remote_devices WHERE user_nid = $1",
        [user.int()],
    )
}

impl Store {
    /// How current the lists of some users are, as far as there are any.
    pub async fn remote_device_lists(&self, users: &[UserNid]) -> Result<Vec<RemoteDeviceList>, StoreError> {
        let sql = "-- remote_devices::lists
            SELECT user_nid, stream_id, as_of, stale FROM remote_device_lists WHERE user_nid = ANY($1)";
        let users = Value::Ints(users.iter().map(|user| user.0).collect());
        self.db().query(sql, &[users]).await?.iter().map(read_list).collect()
    }

    /// The devices of some users of other servers, by user and device.
    pub async fn remote_devices(&self, users: &[UserNid]) -> Result<Vec<DeviceKeys>, StoreError> {
        let sql = "-- remote_devices::devices
            SELECT user_nid, device_id, display_name, json FROM remote_devices WHERE user_nid = ANY($1)
            ORDER BY user_nid, device_id LIMIT $2";
        let users = Value::Ints(users.iter().map(|user| user.0).collect());
        let rows = self.db().query(sql, &[users, DEVICES_READ_MAX.int()]).await?;
        let read = |row: &DbRow| {
            Ok(DeviceKeys {
                user: UserNid(row.int(0)?),
                device_id: row.text(1)?.into(),
                display_name: row.opt_text(2)?.map(str::to_owned),
                json: row.bytes(3)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Of some users, the rooms they are joined to, and since when without a break.
    pub async fn in_rooms_since(&self, users: &[UserNid]) -> Result<Vec<(UserNid, RoomNid, Sequence)>, StoreError> {
        let sql = "-- remote_devices::in_rooms_since
            SELECT j.user_nid, j.room_nid, MIN(j.position) FROM memberships j
            WHERE j.user_nid = ANY($1) AND j.membership = 1 AND NOT EXISTS (SELECT 1 FROM memberships l
                WHERE l.user_nid = j.user_nid AND l.room_nid = j.room_nid AND l.position > j.position AND l.membership <> 1)
            GROUP BY j.user_nid, j.room_nid LIMIT $2";
        let users = Value::Ints(users.iter().map(|user| user.0).collect());
        let rows = self.db().query(sql, &[users, ROOMS_READ_MAX.int()]).await?;
        let read = |row: &DbRow| Ok((UserNid(row.int(0)?), RoomNid(row.int(1)?), row.int(2)?));
        rows.iter().map(read).collect()
    }

    /// Who of those with an account here has been joined to a room for longest without a break, and since when; none if nobody is in it.
    pub async fn longest_here(&self, room: RoomNid) -> Result<Option<(UserNid, Sequence)>, StoreError> {
        let sql = "-- remote_devices::longest_here
            SELECT j.user_nid, j.position FROM memberships j JOIN accounts a ON a.user_nid = j.user_nid
            WHERE j.room_nid = $1 AND j.membership = 1 AND NOT EXISTS (SELECT 1 FROM memberships l
                WHERE l.user_nid = j.user_nid AND l.room_nid = j.room_nid AND l.position > j.position AND l.membership <> 1)
            ORDER BY j.position LIMIT 1";
        let row = self.db().query_opt(sql, &[room.int()]).await?;
        row.map(|row| Ok((UserNid(row.int(0)?), row.int(1)?))).transpose()
    }
}

fn read_list(row: &DbRow) -> Result<RemoteDeviceList, StoreError> {
    Ok(RemoteDeviceList {
        user: UserNid(row.int(0)?),
        stream_id: row.int(1)?,
        as_of: row.int(2)?,
        stale: row.bool(3)?,
    })
}

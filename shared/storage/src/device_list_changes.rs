//! Table `device_list_changes`: when what others see of a user's devices and keys last changed.
//!
//! The table has the last change of each user; the latest ones are in memory, so that a sync asks the database only when it has been away for long.

use plexus_core::{ids::UserNid, position::Sequence};

use crate::{
    Store, StoreError,
    db::{Statement, Value},
    recent::Recent,
    sql::{Int as _, one_row},
};

/// Most changes that are remembered in memory.
const RECENT_MAX: usize = 16_384;

/// Most users whose changes are read from the database for one answer.
pub const CHANGES_MAX: usize = 20_000;

/// `viewer_nid` of a change that everybody sees who shares a room with the user.
const EVERYBODY: UserNid = UserNid(0);

/// The latest changes: whose devices, and who alone sees it, unless everybody does.
pub(crate) type DeviceListChanges = Recent<(UserNid, Option<UserNid>)>;

pub(crate) fn recent() -> DeviceListChanges {
    Recent::new(RECENT_MAX)
}

/// What everybody sees of a user's devices changed, or what `viewer` alone sees.
pub fn upsert(user: UserNid, viewer: Option<UserNid>, position: Value) -> Statement {
    one_row(
        "-- device_list_changes::upsert
        INSERT INTO device_list_changes (user_nid, viewer_nid, position) VALUES ($1, $2, $3)
        ON CONFLICT (user_nid, viewer_nid) DO UPDATE SET position = excluded.position",
        [user.int(), viewer.unwrap_or(EVERYBODY).int(), position],
    )
}

impl Store {
    /// The users of whose devices `viewer` has something new to learn in (after, `up_to`], if he shares a room with them, each once. None if they are more
    /// than are told apart.
    ///
    /// Some of them may have changed after `up_to` only: the table has the last change. Who learns of it too early learns of it again.
    pub async fn device_lists_changed(
        &self,
        viewer: UserNid,
        after: Sequence,
        up_to: Sequence,
    ) -> Result<Option<Vec<UserNid>>, StoreError> {
        let mut users: Vec<UserNid> = match self.caches().device_lists.between(after, up_to) {
            Some(changes) => changes
                .into_iter()
                .filter(|(_, (_, seen_by))| seen_by.is_none_or(|seen_by| seen_by == viewer))
                .map(|(_, (user, _))| user)
                .collect(),
            None => self.load_device_lists_changed(viewer, after).await?,
        };
        if users.len() > CHANGES_MAX {
            return Ok(None);
        }
        users.sort_unstable();
        users.dedup();
        Ok(Some(users))
    }

    async fn load_device_lists_changed(&self, viewer: UserNid, after: Sequence) -> Result<Vec<UserNid>, StoreError> {
        let sql = "-- device_list_changes::changed
            SELECT user_nid FROM device_list_changes WHERE position > $1 AND (viewer_nid = 0 OR viewer_nid = $2)
            ORDER BY position LIMIT $3";
        // One more than may be told apart.
        let limit = Value::Int(i64::try_from(CHANGES_MAX + 1).unwrap_or(i64::MAX));
        let rows = self.db().query(sql, &[after.int(), viewer.int(), limit]).await?;
        rows.iter().map(|row| Ok(UserNid(row.int(0)?))).collect()
    }
}

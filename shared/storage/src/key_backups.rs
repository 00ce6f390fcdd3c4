//! Table `key_backups`: versions of users' key backups. Free: any process writes them, and none caches them.
//!
//! Whoever changes the keys of a version has read its `etag` before, and moves it in the same transaction: of two who decide on the same state only one
//! succeeds, and the other looks again.

use bytes::Bytes;
use plexus_core::ids::UserNid;

use crate::{
    Store, StoreError,
    db::{DbError, DbRow, Statement},
    sql::{Int as _, bytes, one_row, statement, text},
};

/// Tries to make a version whose number somebody else has just taken.
const ATTEMPTS_MAX: usize = 8;

/// A version of a user's key backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBackup {
    /// Its number; the greatest one is the current.
    pub version: i64,
    /// How its keys are encrypted.
    pub algorithm: String,
    /// What a client needs to use it, as JSON.
    pub auth_data: Bytes,
    /// Moves with every change of its keys.
    pub etag: i64,
    /// How many keys it has.
    pub sessions: i64,
}

impl Store {
    /// The current version of a user's backup.
    pub async fn current_key_backup(&self, user: UserNid) -> Result<Option<KeyBackup>, StoreError> {
        let sql = "-- key_backups::current
            SELECT version, algorithm, auth_data, etag, sessions FROM key_backups WHERE user_nid = $1 AND deleted = FALSE
            ORDER BY version DESC LIMIT 1";
        let row = self.db().query_opt(sql, &[user.int()]).await?;
        row.as_ref().map(read).transpose()
    }

    /// A version of a user's backup, unless it is deleted.
    pub async fn key_backup(&self, user: UserNid, version: i64) -> Result<Option<KeyBackup>, StoreError> {
        let sql = "-- key_backups::key_backup
            SELECT version, algorithm, auth_data, etag, sessions FROM key_backups
            WHERE user_nid = $1 AND version = $2 AND deleted = FALSE";
        let row = self.db().query_opt(sql, &[user.int(), version.int()]).await?;
        row.as_ref().map(read).transpose()
    }

    /// Makes a new version, which is the current one from then on.
    pub async fn insert_key_backup(&self, user: UserNid, algorithm: &str, auth_data: &[u8]) -> Result<i64, StoreError> {
        let greatest = "-- key_backups::greatest
            SELECT COALESCE(MAX(version), 0) FROM key_backups WHERE user_nid = $1";
        let insert = "-- key_backups::insert
            INSERT INTO key_backups (user_nid, version, algorithm, auth_data, etag, sessions, deleted)
            VALUES ($1, $2, $3, $4, 0, 0, FALSE) ON CONFLICT (user_nid, version) DO NOTHING";
        for _ in 0..ATTEMPTS_MAX {
            let row = self.db().query_opt(greatest, &[user.int()]).await?;
            let version = row.map(|row| row.int(0)).transpose()?.unwrap_or_default() + 1;
            let params = [user.int(), version.int(), text(algorithm), bytes(auth_data)];
            if self.db().execute(statement(insert, params)).await? == 1 {
                return Ok(version);
            }
        }
        Err(StoreError::corrupt(
            "key_backups",
            "a version that is taken again and again".to_owned(),
        ))
    }

    /// Changes what a version says of itself. False if there is none of that algorithm.
    pub async fn update_key_backup(
        &self,
        user: UserNid,
        version: i64,
        algorithm: &str,
        auth_data: &[u8],
    ) -> Result<bool, StoreError> {
        let sql = "-- key_backups::update
            UPDATE key_backups SET auth_data = $4 WHERE user_nid = $1 AND version = $2 AND algorithm = $3 AND deleted = FALSE";
        let params = [user.int(), version.int(), text(algorithm), bytes(auth_data)];
        Ok(self.db().execute(statement(sql, params)).await? == 1)
    }

    /// Deletes a version with all of its keys. False if there is none.
    pub async fn delete_key_backup(&self, user: UserNid, version: i64) -> Result<bool, StoreError> {
        let mark = "-- key_backups::delete
            UPDATE key_backups SET deleted = TRUE, sessions = 0, etag = etag + 1 WHERE user_nid = $1 AND version = $2 AND deleted = FALSE";
        let empty = "-- key_backups::empty
            DELETE FROM key_backup_sessions WHERE user_nid = $1 AND version = $2";
        let mark = one_row(mark, [user.int(), version.int()]);
        self.write_or_lose(vec![mark, statement(empty, [user.int(), version.int()])])
            .await
    }

    /// Changes the keys of a version, which is as it was when `before` was read; it has `sessions` keys then. False if it is not so any more.
    pub async fn change_key_backup(
        &self,
        user: UserNid,
        before: &KeyBackup,
        sessions: i64,
        mut changes: Vec<Statement>,
    ) -> Result<bool, StoreError> {
        let sql = "-- key_backups::change
            UPDATE key_backups SET etag = etag + 1, sessions = $4 WHERE user_nid = $1 AND version = $2 AND etag = $3 AND deleted = FALSE";
        let params = [user.int(), before.version.int(), before.etag.int(), sessions.int()];
        changes.insert(0, one_row(sql, params));
        self.write_or_lose(changes).await
    }

    async fn write_or_lose(&self, statements: Vec<Statement>) -> Result<bool, StoreError> {
        match self.db().transaction(statements).await {
            Ok(_) => Ok(true),
            Err(DbError::Unexpected { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn read(row: &DbRow) -> Result<KeyBackup, StoreError> {
    Ok(KeyBackup {
        version: row.int(0)?,
        algorithm: row.text(1)?.to_owned(),
        auth_data: row.bytes(2)?,
        etag: row.int(3)?,
        sessions: row.int(4)?,
    })
}

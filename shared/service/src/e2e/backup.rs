//! Backups of room keys: <https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups>.
//!
//! Whoever changes the keys of a version reads it first and decides on that; if somebody else was faster, he reads it again.

use std::collections::{BTreeMap, HashMap};

pub use plexus_storage::key_backup_sessions::Which;
use plexus_storage::{
    key_backup_sessions::{self, BackupSession, SessionRank},
    key_backups::KeyBackup,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::limits::{check_name, check_size};
use crate::{Ctx, Requester, ServiceError, error::Refusal};

mod read;

pub use self::read::{get_keys, get_room_keys, get_session};

/// Most keys in one version.
const SESSIONS_MAX: i64 = 500_000;

/// Most keys in one request.
const SESSIONS_AT_ONCE_MAX: usize = 5_000;

/// Largest integer of JSON that everybody reads.
const INTEGER_MAX: i64 = (1 << 53) - 1;

/// Tries to change a version that others change at the same time.
const ATTEMPTS_MAX: usize = 10;

/// What a client says of a version.
#[derive(Debug, Deserialize)]
pub struct VersionWish {
    pub algorithm: String,
    pub auth_data: Box<RawValue>,
    #[serde(default)]
    pub version: Option<String>,
}

/// A version, as clients get it.
#[derive(Debug, Serialize)]
pub struct VersionInfo {
    pub algorithm: String,
    pub auth_data: Box<RawValue>,
    pub count: i64,
    pub etag: String,
    pub version: String,
}

/// A key, as clients give and get it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KeyData {
    pub first_message_index: i64,
    pub forwarded_count: i64,
    pub is_verified: bool,
    pub session_data: Box<RawValue>,
}

/// Keys of a room, by session.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct RoomKeys {
    pub sessions: BTreeMap<String, KeyData>,
}

/// Keys by room.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Keys {
    pub rooms: BTreeMap<String, RoomKeys>,
}

/// How a version stands after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub etag: String,
    pub count: i64,
}

/// Makes a new version, empty, which is the current one from then on.
pub async fn create_version(ctx: &Ctx, requester: &Requester, wish: &VersionWish) -> Result<String, ServiceError> {
    check_version(wish)?;
    let auth_data = wish.auth_data.get().as_bytes();
    let version = ctx
        .store
        .insert_key_backup(requester.user, &wish.algorithm, auth_data)
        .await?;
    Ok(version.to_string())
}

/// A version, or the current one.
pub async fn get_version(ctx: &Ctx, requester: &Requester, version: Option<&str>) -> Result<VersionInfo, ServiceError> {
    let backup = match version {
        Some(version) => find(ctx, requester, version).await?,
        None => ctx
            .store
            .current_key_backup(requester.user)
            .await?
            .ok_or_else(no_such_version)?,
    };
    let auth_data = serde_json::from_slice(&backup.auth_data).map_err(ServiceError::internal)?;
    Ok(VersionInfo {
        algorithm: backup.algorithm,
        auth_data,
        count: backup.sessions,
        etag: backup.etag.to_string(),
        version: backup.version.to_string(),
    })
}

/// Changes the authentication data of a version. Its algorithm stays.
pub async fn update_version(
    ctx: &Ctx,
    requester: &Requester,
    version: &str,
    wish: &VersionWish,
) -> Result<(), ServiceError> {
    check_version(wish)?;
    if wish.version.as_deref().is_some_and(|named| named != version) {
        return Err(ServiceError::invalid_param(
            "the body is of another version than the path",
        ));
    }
    let backup = find(ctx, requester, version).await?;
    if backup.algorithm != wish.algorithm {
        return Err(ServiceError::invalid_param(
            "the algorithm of a version does not change",
        ));
    }
    let auth_data = wish.auth_data.get().as_bytes();
    let updated = ctx
        .store
        .update_key_backup(requester.user, backup.version, &wish.algorithm, auth_data)
        .await?;
    if updated { Ok(()) } else { Err(no_such_version()) }
}

/// Deletes a version with all of its keys.
pub async fn delete_version(ctx: &Ctx, requester: &Requester, version: &str) -> Result<(), ServiceError> {
    let number = parse_version(version)?;
    if ctx.store.delete_key_backup(requester.user, number).await? {
        Ok(())
    } else {
        Err(no_such_version())
    }
}

/// Puts keys into the current version, each where it is better than the one that is there.
pub async fn put_keys(ctx: &Ctx, requester: &Requester, version: &str, keys: Keys) -> Result<Standing, ServiceError> {
    let sessions = flatten(keys)?;
    for _ in 0..ATTEMPTS_MAX {
        let current = ctx.store.current_key_backup(requester.user).await?;
        let current = current.ok_or_else(no_such_version)?;
        if current.version.to_string() != version {
            return Err(ServiceError::WrongBackupVersion {
                current: current.version.to_string(),
            });
        }
        let Better { sessions, added } = better(ctx, requester, &current, &sessions).await?;
        if sessions.is_empty() {
            return Ok(standing(&current, current.sessions, 0));
        }
        let count = current.sessions + added;
        if count > SESSIONS_MAX {
            return Err(ServiceError::refused(
                Refusal::TooLarge,
                format!("a backup has {SESSIONS_MAX} keys at most"),
            ));
        }
        let upsert = |session: &&BackupSession| key_backup_sessions::upsert(requester.user, current.version, session);
        let changes = sessions.iter().map(upsert).collect();
        if ctx
            .store
            .change_key_backup(requester.user, &current, count, changes)
            .await?
        {
            return Ok(standing(&current, count, 1));
        }
    }
    Err(ServiceError::Unavailable("the backup changes all the time".to_owned()))
}

/// Takes keys out of a version.
pub async fn delete_keys(
    ctx: &Ctx,
    requester: &Requester,
    version: &str,
    which: Which<'_>,
) -> Result<Standing, ServiceError> {
    for _ in 0..ATTEMPTS_MAX {
        let backup = find(ctx, requester, version).await?;
        let deleted = ctx
            .store
            .count_backup_sessions(requester.user, backup.version, which)
            .await?;
        if deleted == 0 {
            return Ok(standing(&backup, backup.sessions, 0));
        }
        let count = backup.sessions - deleted;
        let delete = key_backup_sessions::delete(requester.user, backup.version, which);
        if ctx
            .store
            .change_key_backup(requester.user, &backup, count, vec![delete])
            .await?
        {
            return Ok(standing(&backup, count, 1));
        }
    }
    Err(ServiceError::Unavailable("the backup changes all the time".to_owned()))
}

/// The keys of a request that go into a backup.
struct Better<'a> {
    sessions: Vec<&'a BackupSession>,
    /// How many of them are of sessions that it does not have.
    added: i64,
}

async fn better<'a>(
    ctx: &Ctx,
    requester: &Requester,
    backup: &KeyBackup,
    sessions: &'a [BackupSession],
) -> Result<Better<'a>, ServiceError> {
    let mut better = Better {
        sessions: Vec::new(),
        added: 0,
    };
    // They are in the order of their rooms.
    for of_room in sessions.chunk_by(|left, right| left.room_id == right.room_id) {
        let Some(first) = of_room.first() else { continue };
        let ranks = ctx
            .store
            .backup_ranks(requester.user, backup.version, &first.room_id, SESSIONS_MAX)
            .await?;
        let ranks: HashMap<String, SessionRank> = ranks.into_iter().collect();
        for session in of_room {
            match ranks.get(&session.session_id) {
                None => better.added += 1,
                Some(there) if is_better(session.rank, *there) => {}
                Some(_) => continue,
            }
            better.sessions.push(session);
        }
    }
    Ok(better)
}

/// Whether a copy of a key takes the place of another: a verified one, else one that decrypts more, else one that went through fewer hands.
fn is_better(new: SessionRank, there: SessionRank) -> bool {
    let rank = |rank: SessionRank| (!rank.is_verified, rank.first_message_index, rank.forwarded_count);
    rank(new) < rank(there)
}

fn flatten(keys: Keys) -> Result<Vec<BackupSession>, ServiceError> {
    let mut sessions = Vec::new();
    for (room_id, room) in keys.rooms {
        check_name("a room id", &room_id)?;
        for (session_id, key) in room.sessions {
            check_name("a session id", &session_id)?;
            check_size("a key", &key.session_data)?;
            let numbers = [key.first_message_index, key.forwarded_count];
            if numbers.iter().any(|number| !(0..=INTEGER_MAX).contains(number)) {
                return Err(ServiceError::bad_json("an index or count is negative or too large"));
            }
            if sessions.len() == SESSIONS_AT_ONCE_MAX {
                return Err(ServiceError::refused(
                    Refusal::TooLarge,
                    format!("one request has {SESSIONS_AT_ONCE_MAX} keys at most"),
                ));
            }
            sessions.push(BackupSession {
                room_id: room_id.clone(),
                session_id,
                rank: SessionRank {
                    first_message_index: key.first_message_index,
                    forwarded_count: key.forwarded_count,
                    is_verified: key.is_verified,
                },
                session_data: key.session_data.get().to_owned().into(),
            });
        }
    }
    Ok(sessions)
}

fn check_version(wish: &VersionWish) -> Result<(), ServiceError> {
    check_name("the algorithm", &wish.algorithm)?;
    check_size("auth_data", &wish.auth_data)
}

fn standing(before: &KeyBackup, count: i64, moved: i64) -> Standing {
    Standing {
        etag: (before.etag + moved).to_string(),
        count,
    }
}

/// A version that is there.
async fn find(ctx: &Ctx, requester: &Requester, version: &str) -> Result<KeyBackup, ServiceError> {
    let number = parse_version(version)?;
    let backup = ctx.store.key_backup(requester.user, number).await?;
    backup.ok_or_else(no_such_version)
}

/// Any text that is not a number of ours is a version that is not there.
fn parse_version(version: &str) -> Result<i64, ServiceError> {
    version.parse().map_err(|_| no_such_version())
}

fn no_such_version() -> ServiceError {
    ServiceError::not_found("there is no such backup")
}

/// A stored key, as clients get it; none if it cannot be read.
fn to_key_data(session: &BackupSession) -> Option<KeyData> {
    Some(KeyData {
        first_message_index: session.rank.first_message_index,
        forwarded_count: session.rank.forwarded_count,
        is_verified: session.rank.is_verified,
        session_data: serde_json::from_slice(&session.session_data).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_better_copy_wins() {
        let rank = |is_verified, first_message_index, forwarded_count| SessionRank {
            first_message_index,
            forwarded_count,
            is_verified,
        };
        let best_first = [
            rank(true, 0, 0),
            rank(true, 0, 5),
            rank(true, 7, 0),
            rank(false, 0, 0),
            rank(false, 0, 1),
            rank(false, 3, 0),
        ];
        for (i, left) in best_first.iter().enumerate() {
            for (j, right) in best_first.iter().enumerate() {
                assert_eq!(is_better(*left, *right), i < j, "{left:?} {right:?}");
            }
        }
    }
}

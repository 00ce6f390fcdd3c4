//! Reading the keys of a backup, page by page.

use metrics::counter;

use super::{KeyData, Keys, RoomKeys, find, to_key_data};
use crate::{Ctx, Requester, ServiceError};

/// Keys that are read at a time.
const PAGE: i64 = 1_000;

/// Stored keys that cannot be read and were passed over.
const BROKEN_TOTAL: &str = "plexus_backup_keys_broken_total";

/// All keys of a version.
pub async fn get_keys(ctx: &Ctx, requester: &Requester, version: &str) -> Result<Keys, ServiceError> {
    let backup = find(ctx, requester, version).await?;
    let mut keys = Keys::default();
    let mut after = (String::new(), String::new());
    loop {
        let page = ctx
            .store
            .backup_sessions(requester.user, backup.version, (&after.0, &after.1), PAGE)
            .await?;
        for session in &page {
            if let Some(data) = kept(to_key_data(session)) {
                let room = keys.rooms.entry(session.room_id.clone()).or_default();
                room.sessions.insert(session.session_id.clone(), data);
            }
        }
        match page.into_iter().next_back() {
            Some(last) => after = (last.room_id, last.session_id),
            None => return Ok(keys),
        }
    }
}

/// The keys of a room in a version; none if there are none.
pub async fn get_room_keys(
    ctx: &Ctx,
    requester: &Requester,
    version: &str,
    room_id: &str,
) -> Result<RoomKeys, ServiceError> {
    let backup = find(ctx, requester, version).await?;
    let mut keys = RoomKeys::default();
    let mut after = String::new();
    loop {
        let page = ctx
            .store
            .backup_sessions_of_room(requester.user, backup.version, room_id, &after, PAGE)
            .await?;
        for session in &page {
            if let Some(data) = kept(to_key_data(session)) {
                keys.sessions.insert(session.session_id.clone(), data);
            }
        }
        match page.into_iter().next_back() {
            Some(last) => after = last.session_id,
            None => return Ok(keys),
        }
    }
}

/// One key of a version.
pub async fn get_session(
    ctx: &Ctx,
    requester: &Requester,
    version: &str,
    room_id: &str,
    session_id: &str,
) -> Result<KeyData, ServiceError> {
    let backup = find(ctx, requester, version).await?;
    let session = ctx
        .store
        .backup_session(requester.user, backup.version, room_id, session_id)
        .await?;
    let data = session.as_ref().and_then(|session| kept(to_key_data(session)));
    data.ok_or_else(|| ServiceError::not_found("the backup has no such key"))
}

/// Counts what cannot be read: one bad row must not keep a user from all others.
fn kept(data: Option<KeyData>) -> Option<KeyData> {
    if data.is_none() {
        counter!(BROKEN_TOTAL).increment(1);
    }
    data
}

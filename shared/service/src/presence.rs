//! Who is there.
//!
//! The master keeps it, the ephemeral chain tells of it, and every process reads it from its store. A sync says that its device is there, but not each time:
//! [`SyncsTold`] remembers what the master knows already.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#presence>

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use plexus_core::{
    event::json::write_string,
    ids::UserNid,
    position::Epoch,
    row::{Membership, PresenceRow, PresenceState},
};
use plexus_proto::{self as proto, command::Kind};
use quick_cache::sync::Cache;
use ruma::UserId;
use tokio::time::{Instant, timeout};

use crate::{Ctx, Requester, ServiceError, ids::new_command};

/// How long somebody is there after his last sync, or after he said so.
const GONE_AFTER: Duration = Duration::from_secs(30);
/// Longest a sync waits for the master to take note of its device.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// How long the master is left alone after it did not.
const PAUSE: Duration = Duration::from_secs(10);
/// Devices that are remembered; of one that is forgotten the master is told once more.
const DEVICES_MAX: usize = 50_000;

/// What the master has been told of devices that sync. Cheap to clone.
#[derive(Clone)]
pub struct SyncsTold(Arc<Cache<Device, Arc<Mutex<Told>>>>);

/// A user and the id of his device.
type Device = (UserNid, Box<str>);

#[derive(Clone, Copy, Debug)]
struct Told {
    epoch: Epoch,
    state: PresenceState,
    until: Instant,
}

impl Default for SyncsTold {
    fn default() -> Self {
        Self(Arc::new(Cache::new(DEVICES_MAX)))
    }
}

impl fmt::Debug for SyncsTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncsTold").field("devices", &self.0.len()).finish()
    }
}

impl SyncsTold {
    /// Whether the master has to be told; if so it is taken to be told from here on.
    fn begin(&self, requester: &Requester, news: Told, covers: Instant) -> bool {
        let key = (requester.user, requester.device_id.as_str().into());
        let Some(told) = self.0.get(&key) else {
            self.0.insert(key, Arc::new(Mutex::new(news)));
            return true;
        };
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = told.epoch == news.epoch && told.state == news.state && told.until >= covers;
        if !is_known {
            *told = news;
        }
        !is_known
    }

    fn failed(&self, requester: &Requester, until: Instant) {
        if let Some(told) = self.0.get(&(requester.user, requester.device_id.as_str().into())) {
            told.lock().unwrap_or_else(PoisonError::into_inner).until = until;
        }
    }
}

/// A device syncs, for at most so long, and is there by that. Never an error: a server whose master is away still answers syncs.
pub(crate) async fn note_sync(ctx: &Ctx, requester: &Requester, state: PresenceState, lasts: Duration) {
    if !ctx.config.social.presence || state == PresenceState::Offline {
        return;
    }
    let now = Instant::now();
    let hold = lasts + GONE_AFTER;
    let news = Told {
        epoch: ctx.replica.ephemeral().0,
        state,
        until: now + hold,
    };
    if !ctx.syncs_told.begin(requester, news, now + lasts) {
        return;
    }
    let command = proto::SetPresence {
        user_id: requester.user_id.to_string(),
        device_id: requester.device_id.to_string(),
        state: state.code(),
        hold_ms: in_ms(hold),
        explicit: false,
        status_msg: None,
    };
    let telling = ctx.replica.run(new_command(Kind::SetPresence(command)));
    if !matches!(timeout(TOLD_WITHIN, telling).await, Ok(Ok(_))) {
        ctx.syncs_told.failed(requester, now + lasts + PAUSE);
    }
}

/// A user says how he is.
pub async fn set_presence(
    ctx: &Ctx,
    requester: &Requester,
    user_id: &UserId,
    state: PresenceState,
    status_msg: Option<String>,
) -> Result<(), ServiceError> {
    if requester.user_id != user_id {
        return Err(ServiceError::forbidden("nobody says how another user is"));
    }
    if !ctx.config.social.presence {
        return Ok(());
    }
    let command = proto::SetPresence {
        user_id: user_id.to_string(),
        device_id: requester.device_id.to_string(),
        state: state.code(),
        hold_ms: in_ms(GONE_AFTER),
        explicit: true,
        status_msg,
    };
    ctx.replica.run(new_command(Kind::SetPresence(command))).await?;
    Ok(())
}

/// How a user is, as JSON, for himself and those who share a room with him.
pub async fn get_presence(ctx: &Ctx, requester: &Requester, user_id: &UserId) -> Result<Vec<u8>, ServiceError> {
    let hidden = || ServiceError::forbidden("you share no room with this user");
    let user = ctx.store.user_nid(user_id).await?.ok_or_else(hidden)?;
    if user != requester.user && !share_room(ctx, requester.user, user).await? {
        return Err(hidden());
    }
    let mut out = Vec::new();
    write_content(
        ctx.store.presence(user).as_ref().map(|stored| &*stored.row),
        None,
        ctx.clock.now_ms(),
        &mut out,
    );
    Ok(out)
}

/// Whether two users are joined to the same room.
pub async fn share_room(ctx: &Ctx, one: UserNid, other: UserNid) -> Result<bool, ServiceError> {
    let (one, other) = (ctx.store.user_rooms(one).await?, ctx.store.user_rooms(other).await?);
    let (few, many) = if one.joined() <= other.joined() {
        (one, other)
    } else {
        (other, one)
    };
    Ok(few.with(Membership::Join).any(|(room, _)| {
        many.get(room)
            .is_some_and(|member| member.membership == Membership::Join)
    }))
}

/// Appends an `m.presence` event; of whom nothing is known, he is offline. Old endpoints want the user's id in the content as well.
pub fn write_event(user_id: &UserId, row: Option<&PresenceRow>, in_content: bool, now_ms: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"content\":");
    write_content(row, in_content.then_some(user_id), now_ms, out);
    out.extend_from_slice(b",\"sender\":");
    write_string(out, user_id.as_str());
    out.extend_from_slice(b",\"type\":\"m.presence\"}");
}

/// Appends what is said of somebody; of whom nothing is known, he is offline.
fn write_content(row: Option<&PresenceRow>, user_id: Option<&UserId>, now_ms: i64, out: &mut Vec<u8>) {
    out.push(b'{');
    if let Some(row) = row {
        if row.state == PresenceState::Online {
            out.extend_from_slice(format!("\"currently_active\":{},", row.currently_active).as_bytes());
        }
        let ago = now_ms.saturating_sub(row.last_active_ms).max(0);
        out.extend_from_slice(format!("\"last_active_ago\":{ago},").as_bytes());
    }
    let state = row.map_or(PresenceState::Offline, |row| row.state);
    out.extend_from_slice(b"\"presence\":");
    write_string(out, word(state));
    if let Some(status_msg) = row.and_then(|row| row.status_msg.as_deref()) {
        out.extend_from_slice(b",\"status_msg\":");
        write_string(out, status_msg);
    }
    if let Some(user_id) = user_id {
        out.extend_from_slice(b",\"user_id\":");
        write_string(out, user_id.as_str());
    }
    out.push(b'}');
}

const fn word(state: PresenceState) -> &'static str {
    match state {
        PresenceState::Offline => "offline",
        PresenceState::Online => "online",
        PresenceState::Unavailable => "unavailable",
    }
}

/// Reads a state as clients write it.
pub fn parse_state(word: &str) -> Option<PresenceState> {
    match word {
        "offline" => Some(PresenceState::Offline),
        "online" => Some(PresenceState::Online),
        "unavailable" => Some(PresenceState::Unavailable),
        _ => None,
    }
}

fn in_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn the_master_is_told_again_only_when_there_is_something_to_tell() {
        let told = SyncsTold::default();
        let requester = Requester {
            user: UserNid(1),
            user_id: user_id!("@alice:localhost").to_owned(),
            device_id: "PHONE".into(),
            admin: false,
            guest: false,
            suspended: false,
        };
        let start = Instant::now();
        let sync = |at: u64, lasts: u64, state, epoch| {
            let now = start + Duration::from_secs(at);
            let lasts = Duration::from_secs(lasts);
            let until = now + lasts + GONE_AFTER;
            told.begin(&requester, Told { epoch, state, until }, now + lasts)
        };
        let online = PresenceState::Online;
        assert!(sync(0, 30, online, 1));
        for at in 1..=30 {
            assert!(!sync(at, 30, online, 1), "at {at}");
        }
        assert!(sync(31, 30, online, 1), "once in a while");
        assert!(!sync(32, 0, online, 1));
        assert!(sync(33, 0, PresenceState::Unavailable, 1), "another state");
        assert!(sync(34, 0, PresenceState::Unavailable, 2), "another master");
        told.failed(&requester, start + Duration::from_secs(40));
        assert!(!sync(40, 0, PresenceState::Unavailable, 2));
        assert!(sync(41, 0, PresenceState::Unavailable, 2));
    }

    #[test]
    fn an_event_says_what_is_known() {
        let row = PresenceRow {
            user: UserNid(1),
            state: PresenceState::Online,
            status_msg: Some("a \"quote\"".to_owned()),
            last_active_ms: 400,
            currently_active: true,
        };
        let mut out = Vec::new();
        write_event(user_id!("@a:b"), Some(&row), true, 1_000, &mut out);
        let expected = [
            r#"{"content":{"currently_active":true,"last_active_ago":600,"presence":"online","status_msg":"a \"quote\"","#,
            r#""user_id":"@a:b"},"sender":"@a:b","type":"m.presence"}"#,
        ];
        assert_eq!(String::from_utf8(out).expect("text"), expected.concat());
        let mut out = Vec::new();
        write_content(None, None, 1_000, &mut out);
        assert_eq!(out, br#"{"presence":"offline"}"#);
    }
}

//! What users of this server are to rooms that it is not in: told to the master, which keeps it.

use bytes::Bytes;
use plexus_core::{event::EventBody, room_version::RoomVersion, row::Membership};
use plexus_proto::{self as proto, command::Kind};
use plexus_storage::rooms::RoomInfo;
use ruma::{OwnedEventId, ServerName, UserId};
use serde_json::{Value, json};

use super::candidates::preview_servers;
use crate::{Ctx, ServiceError, ids::new_command, rooms::create::version_number};

/// Most events of a preview.
const EVENTS_MAX: usize = 100;
/// Most bytes of a preview. What does not fit is left out.
const BYTES_MAX: usize = 60 * 1024;

/// Keeps a verified member event of a user of this server. `preview` is what he is told of the room.
pub(super) async fn keep(
    ctx: &Ctx,
    version: RoomVersion,
    event: &EventBody,
    preview: Option<Vec<u8>>,
) -> Result<OwnedEventId, ServiceError> {
    let keep = proto::KeepMembership {
        room_id: event.room_id().to_string(),
        room_version: version_number(version),
        json: event.json().to_owned().into(),
        room_state: preview.map(Into::into),
    };
    ctx.replica.run(new_command(Kind::KeepMembership(keep))).await?;
    Ok(event.event_id().to_owned())
}

/// Takes what other servers say of users of this server in a room that it is not in: invites that are taken back, knocks that are refused. What else they
/// say of the room is not for this server.
pub(super) async fn receive(ctx: &Ctx, room: &RoomInfo, events: Vec<Bytes>) -> Result<(), ServiceError> {
    let is_wanted = |json: &Bytes| {
        let event = EventBody::parse(json, room.version.rules()).ok()?;
        let target = UserId::parse(event.state_key()?).ok()?;
        let is_out = matches!(event.membership(), Some(Membership::Leave | Membership::Ban));
        (is_out && target.server_name() == ctx.config.server_name).then_some(target)
    };
    let mut targets = Vec::new();
    let mut wanted = Vec::new();
    for json in events {
        if let Some(target) = is_wanted(&json) {
            targets.push(target);
            wanted.push(json);
        }
    }
    let verified = ctx.federation.verify(room.version.rules(), wanted).await?;
    for (target, event) in targets.iter().zip(verified) {
        let Ok(event) = event else { continue };
        if event.room_id() == room.id && may_put_out(ctx, room, target, event.sender().server_name()).await? {
            keep(ctx, room.version, &event, None).await?;
        }
    }
    Ok(())
}

/// Whether a server's users may end what a user of this server is to a room: the room's rules are not known here, but who invited him is, and whose word the
/// preview of the room was.
async fn may_put_out(ctx: &Ctx, room: &RoomInfo, target: &UserId, server: &ServerName) -> Result<bool, ServiceError> {
    let Some(user) = ctx.store.user_nid(target).await? else {
        return Ok(false);
    };
    let known = ctx.store.user_rooms(user).await?.get(room.nid);
    let known = known.filter(|known| matches!(known.membership, Membership::Invite | Membership::Knock));
    let Some(known) = known else { return Ok(false) };
    let member = ctx.store.event(known.event).await?;
    if member.is_some_and(|member| member.body.sender().server_name() == server) {
        return Ok(true);
    }
    let servers = preview_servers(ctx, user, room).await?;
    Ok(servers.iter().any(|known| known == server))
}

/// A preview of what another server says of a room, a JSON array: of each event what clients look at, and nothing of what makes no sense. Nobody has signed it.
pub(super) fn preview(state: &[Value], target: &UserId) -> Vec<u8> {
    let mut out = b"[".to_vec();
    for event in state.iter().take(EVENTS_MAX) {
        let Some(stripped) = strip(event, target) else {
            continue;
        };
        let stripped = stripped.to_string();
        if out.len() + stripped.len() + 2 > BYTES_MAX {
            continue;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(stripped.as_bytes());
    }
    out.push(b']');
    out
}

/// An event without what clients do not look at. What the user himself is to the room, his member event says.
fn strip(event: &Value, target: &UserId) -> Option<Value> {
    let kind = event["type"].as_str()?;
    let state_key = event["state_key"].as_str()?;
    let sender = <&UserId>::try_from(event["sender"].as_str()?).ok()?;
    let content = event.get("content").filter(|content| content.is_object())?;
    if kind == "m.room.member" && state_key == target {
        return None;
    }
    Some(json!({"type": kind, "state_key": state_key, "sender": sender, "content": content}))
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    fn previewed(state: &[Value]) -> Vec<Value> {
        let preview = preview(state, user_id!("@bob:here.example"));
        assert!(preview.len() <= BYTES_MAX);
        serde_json::from_slice(&preview).expect("JSON")
    }

    #[test]
    fn hostile_6_a_preview_holds_what_makes_sense_and_no_more_than_fits() {
        let name = |name: String| {
            json!({"type": "m.room.name", "state_key": "", "sender": "@alice:there.example", "content": {"name": name},
                "unsigned": {"age": 1}, "signatures": {}})
        };
        let good =
            json!({"type": "m.room.name", "state_key": "", "sender": "@alice:there.example", "content": {"name": "x"}});
        assert_eq!(previewed(&[name("x".to_owned())]), std::slice::from_ref(&good));
        for nonsense in [
            json!(7),
            json!({}),
            json!({"type": "m.room.name", "state_key": 1, "sender": "@alice:there.example", "content": {}}),
            json!({"type": "m.room.name", "state_key": "", "sender": "alice", "content": {}}),
            json!({"type": "m.room.name", "state_key": "", "sender": "@alice:there.example", "content": []}),
            json!({"type": "m.room.member", "state_key": "@bob:here.example", "sender": "@alice:there.example", "content": {}}),
            name("x".repeat(BYTES_MAX)),
        ] {
            assert_eq!(
                previewed(&[nonsense.clone(), name("x".to_owned())]),
                std::slice::from_ref(&good),
                "{nonsense}"
            );
        }
        assert_eq!(previewed(&vec![name("x".to_owned()); 1_000]).len(), EVENTS_MAX);
        assert!(previewed(&vec![name("x".repeat(10_000)); 50]).len() < 10);
    }
}

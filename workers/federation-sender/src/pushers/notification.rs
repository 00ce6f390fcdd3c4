//! What a gateway is told.
//!
//! <https://spec.matrix.org/v1.19/push-gateway-api/#post_matrixpushv1notify>

use bytes::Bytes;
use http::Uri;
use plexus_core::{position::WriterId, row::Membership};
use plexus_service::{
    Ctx, ServiceError,
    push::unread::{Reader, count},
};
use plexus_storage::{events::StoredEvent, pushers::Pusher};
use serde_json::{Map, Value, json};

/// How a user wants to be made aware of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Notice {
    sound: Option<String>,
    highlight: bool,
}

impl Notice {
    /// Reads the tweaks among a push rule's actions.
    pub(super) fn of(actions: &[Value]) -> Self {
        let mut notice = Self::default();
        for action in actions {
            match action.get("set_tweak").and_then(Value::as_str) {
                Some("sound") => notice.sound = action.get("value").and_then(Value::as_str).map(str::to_owned),
                // The tweak alone means yes.
                Some("highlight") => notice.highlight = action.get("value").is_none_or(|value| value == true),
                _ => {}
            }
        }
        notice
    }
}

/// How a pusher wants to be told.
#[derive(Debug)]
pub(super) struct Format {
    gateway: Uri,
    /// Only which event it is, and the counts.
    event_id_only: bool,
    /// What the gateway is told of the pusher: its data without the address.
    data: Map<String, Value>,
}

impl Format {
    /// Reads the data of a pusher; none if no gateway can be told.
    pub(super) fn of(pusher: &Pusher) -> Option<Self> {
        let data: Value = serde_json::from_slice(&pusher.data).ok()?;
        let gateway = data.get("url")?.as_str()?.parse().ok()?;
        let Value::Object(mut data) = data else { return None };
        data.remove("url");
        let event_id_only = data.get("format").and_then(Value::as_str) == Some("event_id_only");
        Some(Self {
            gateway,
            event_id_only,
            data,
        })
    }

    pub(super) fn gateway(&self) -> &Uri {
        &self.gateway
    }
}

/// The body of the request.
pub(super) async fn write(
    ctx: &Ctx,
    pusher: &Pusher,
    format: &Format,
    event: &StoredEvent,
    notice: &Notice,
) -> Result<Bytes, ServiceError> {
    let unread = unread(ctx, pusher).await?;
    let mut notification = json!({
        "event_id": event.body.event_id(),
        "room_id": event.body.room_id(),
        // What is zero is left out, by specification.
        "counts": if unread > 0 { json!({ "unread": unread }) } else { json!({}) },
        "devices": [device(pusher, format, notice)],
    });
    if !format.event_id_only {
        describe(ctx, pusher, event, notice, &mut notification).await?;
    }
    Ok(Bytes::from(json!({ "notification": notification }).to_string()))
}

/// What the user has not read, of all his rooms.
async fn unread(ctx: &Ctx, pusher: &Pusher) -> Result<i64, ServiceError> {
    let user = pusher.key.user;
    let Some(user_id) = ctx.store.user_id(user).await? else {
        return Ok(0);
    };
    let up_to = ctx.replica.position().get(WriterId::MASTER);
    let mut unread = 0;
    for (room, member) in ctx.store.user_rooms(user).await?.with(Membership::Join) {
        let Some(room) = ctx.store.room_by_nid(room).await? else {
            continue;
        };
        let reader = Reader {
            user,
            user_id: &user_id,
            room: &room,
            member,
        };
        unread += count(ctx, reader, up_to, false).await?.room.notifications;
    }
    Ok(unread)
}

fn device(pusher: &Pusher, format: &Format, notice: &Notice) -> Value {
    let mut tweaks = Map::new();
    if let Some(sound) = &notice.sound {
        tweaks.insert("sound".to_owned(), json!(sound));
    }
    if notice.highlight {
        tweaks.insert("highlight".to_owned(), json!(true));
    }
    json!({
        "app_id": pusher.key.app_id,
        "pushkey": pusher.key.pushkey,
        "data": format.data,
        "tweaks": tweaks,
    })
}

/// Adds what a person can be shown.
async fn describe(
    ctx: &Ctx,
    pusher: &Pusher,
    event: &StoredEvent,
    notice: &Notice,
    notification: &mut Value,
) -> Result<(), ServiceError> {
    let content: Value = event.body.content_as().map_err(ServiceError::internal)?;
    notification["type"] = json!(event.body.kind());
    notification["sender"] = json!(event.body.sender());
    notification["content"] = content;
    let is_urgent = notice.highlight || notice.sound.is_some() || event.body.kind() == "m.room.encrypted";
    notification["prio"] = json!(if is_urgent { "high" } else { "low" });
    let user_id = ctx.store.user_id(pusher.key.user).await?;
    if event.body.kind() == "m.room.member" {
        let is_target = event.body.state_key() == user_id.as_ref().map(|user_id| user_id.as_str());
        notification["user_is_target"] = json!(is_target);
    }
    let state = [
        ("room_name", "m.room.name", "", "name"),
        ("room_alias", "m.room.canonical_alias", "", "alias"),
        (
            "sender_display_name",
            "m.room.member",
            event.body.sender().as_str(),
            "displayname",
        ),
    ];
    for (member, kind, state_key, field) in state {
        let found = ctx
            .store
            .state_event(event.room, event.room_root, kind, state_key)
            .await?;
        if let Some(value) = found.and_then(|found| found.body.content_string(field)) {
            notification[member] = json!(value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tweaks_are_read_from_actions() {
        let notice = |actions: Value| Notice::of(actions.as_array().expect("a list"));
        assert_eq!(notice(json!(["notify"])), Notice::default());
        let loud = notice(json!(["notify", {"set_tweak": "sound", "value": "ring"}, {"set_tweak": "highlight"}]));
        assert_eq!((loud.sound.as_deref(), loud.highlight), (Some("ring"), true));
        assert!(!notice(json!([{"set_tweak": "highlight", "value": false}])).highlight);
    }
}

//! What is not part of any room's history, as other servers get it.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use plexus_core::{
    ids::UserNid,
    position::Sequence,
    row::{PresenceRow, PresenceState, ReceiptRow},
};
use plexus_service::{
    Ctx, ServiceError,
    e2e::query::{Known, Wanted, query_keys_here},
};
use plexus_storage::outgoing_device_changes::DeviceChange;
use ruma::{OwnedUserId, ServerName};
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    board::{Batch, EDUS_MAX, Edu, Lasting, Passing},
    sender::Sender,
};

/// An EDU as it is sent.
#[derive(Debug)]
pub(super) struct Written {
    /// The EDU, as JSON.
    pub(super) json: String,
    /// What makes it this one and no other: for the transaction's id.
    pub(super) identity: String,
}

impl Written {
    fn new(kind: &str, content: &Value, identity: String) -> Self {
        Self {
            json: json!({"content": content, "edu_type": kind}).to_string(),
            identity,
        }
    }
}

/// The EDUs of a batch; what is outdated meanwhile is left out.
pub(super) async fn write(sender: &Sender, server: &ServerName, batch: &Batch) -> Result<Vec<Written>, ServiceError> {
    let ctx = sender.ctx();
    let mut written = messages(ctx, server, &batch.edus).await?;
    for edu in &batch.edus {
        if let Lasting::Device { user, change } = edu.what {
            written.extend(device(ctx, user, change).await?);
        }
    }
    written.extend(receipts(ctx, &batch.edus).await?);
    written.extend(passing(sender, &batch.passing).await?);
    Ok(written)
}

/// The places of messages to devices in a batch.
pub(super) fn message_places(edus: &[Edu]) -> Vec<Sequence> {
    let messages = edus.iter().filter(|edu| edu.what == Lasting::Messages);
    messages.map(|edu| edu.position).collect()
}

async fn messages(ctx: &Ctx, server: &ServerName, edus: &[Edu]) -> Result<Vec<Written>, ServiceError> {
    let places = message_places(edus);
    let (Some(first), Some(last)) = (places.iter().min(), places.iter().max()) else {
        return Ok(Vec::new());
    };
    let limit = i64::try_from(EDUS_MAX).unwrap_or(i64::MAX);
    let waiting = ctx.store.outgoing_to_device(server, first - 1, *last, limit).await?;
    let mut written = Vec::with_capacity(waiting.len());
    for waiting in waiting {
        let Some(user_id) = ctx.store.user_id(waiting.sender).await? else {
            continue;
        };
        let messages: Value = serde_json::from_slice(&waiting.messages).map_err(ServiceError::internal)?;
        let content = json!({
            "sender": user_id,
            "type": waiting.kind,
            "message_id": waiting.message_id,
            "messages": messages,
        });
        written.push(Written::new("m.direct_to_device", &content, waiting.message_id));
    }
    Ok(written)
}

/// The change of a device, or of cross-signing keys, unless there is a later one: that has a place of its own.
async fn device(ctx: &Ctx, user: UserNid, position: Sequence) -> Result<Option<Written>, ServiceError> {
    let (Some(change), Some(user_id)) = (
        ctx.store.device_change(user, position).await?,
        ctx.store.user_id(user).await?,
    ) else {
        return Ok(None);
    };
    let identity = format!("device {user_id} {position}");
    let wanted = Wanted::from([(user_id.clone(), change.device_id.clone().into_iter().collect())]);
    let known = query_keys_here(ctx, wanted).await?;
    Ok(Some(match &change.device_id {
        Some(device_id) => {
            let content = device_content(ctx, &change, (&user_id, device_id), &known).await?;
            Written::new("m.device_list_update", &content, identity)
        }
        None => Written::new("m.signing_key_update", &signing_content(&user_id, &known), identity),
    }))
}

async fn device_content(
    ctx: &Ctx,
    change: &DeviceChange,
    (user_id, device_id): (&OwnedUserId, &str),
    known: &Known,
) -> Result<Value, ServiceError> {
    let mut content = json!({
        "user_id": user_id,
        "device_id": device_id,
        "stream_id": change.position,
        "prev_id": change.previous.into_iter().collect::<Vec<_>>(),
    });
    match ctx.store.device(change.user, device_id.into()).await? {
        None => content["deleted"] = json!(true),
        Some(device) => {
            if let Some(name) = device.display_name {
                content["device_display_name"] = json!(name);
            }
            if let Some(keys) = known
                .device_keys
                .get(user_id)
                .and_then(|devices| devices.get(device_id))
            {
                content["keys"] = parsed(keys)?;
            }
        }
    }
    Ok(content)
}

fn signing_content(user_id: &OwnedUserId, known: &Known) -> Value {
    let mut content = json!({ "user_id": user_id });
    for (name, keys) in [
        ("master_key", &known.master_keys),
        ("self_signing_key", &known.self_signing_keys),
    ] {
        if let Some(key) = keys.get(user_id).and_then(|key| parsed(key).ok()) {
            content[name] = key;
        }
    }
    content
}

fn parsed(json: &RawValue) -> Result<Value, ServiceError> {
    serde_json::from_str(json.get()).map_err(ServiceError::internal)
}

/// Receipts, as many as fit into one EDU together: a user has one place for each room in it.
async fn receipts(ctx: &Ctx, edus: &[Edu]) -> Result<Vec<Written>, ServiceError> {
    type Content = BTreeMap<String, BTreeMap<String, Value>>;
    let mut written: Vec<(Content, String)> = Vec::new();
    for edu in edus {
        let Lasting::Receipt(receipt) = &edu.what else { continue };
        let (Some(room), Some(user_id)) = (
            ctx.store.room_by_nid(receipt.room).await?,
            ctx.store.user_id(receipt.user).await?,
        ) else {
            continue;
        };
        let value = receipt_value(receipt);
        let has_place = written.last().is_some_and(|(content, _)| {
            let of_room = content.get(room.id.as_str());
            of_room.is_none_or(|users| !users.contains_key(user_id.as_str()))
        });
        if !has_place {
            written.push((Content::new(), "receipts".to_owned()));
        }
        if let Some((content, identity)) = written.last_mut() {
            let of_room = content.entry(room.id.to_string()).or_default();
            if let Entry::Vacant(place) = of_room.entry(user_id.to_string()) {
                place.insert(value);
            }
            identity.push(' ');
            identity.push_str(&edu.position.to_string());
        }
    }
    Ok(written
        .into_iter()
        .map(|(content, identity)| {
            let rooms = content
                .into_iter()
                .map(|(room, users)| (room, json!({ "m.read": users })));
            Written::new("m.receipt", &Value::Object(rooms.collect()), identity)
        })
        .collect())
}

fn receipt_value(receipt: &Arc<ReceiptRow>) -> Value {
    let mut data = Map::from_iter([("ts".to_owned(), json!(receipt.ts_ms))]);
    if let Some(thread) = &receipt.thread {
        data.insert("thread_id".to_owned(), json!(thread));
    }
    json!({"data": data, "event_ids": [receipt.event_id]})
}

async fn passing(sender: &Sender, passing: &[Passing]) -> Result<Vec<Written>, ServiceError> {
    let ctx = sender.ctx();
    let (mut written, mut presences) = (Vec::new(), Vec::new());
    for passing in passing {
        match passing {
            Passing::Presence(row) => {
                if let Some(user_id) = ctx.store.user_id(row.user).await? {
                    presences.push(presence(row, &user_id, ctx.clock.now_ms()));
                }
            }
            Passing::Typing { room, user, typing } => {
                let (room, user_id) = (ctx.store.room_by_nid(*room).await?, ctx.store.user_id(*user).await?);
                if let (Some(room), Some(user_id)) = (room, user_id) {
                    let content = json!({"room_id": room.id, "user_id": user_id, "typing": typing});
                    written.push(Written::new("m.typing", &content, sender.moment()));
                }
            }
        }
    }
    if !presences.is_empty() {
        written.push(Written::new(
            "m.presence",
            &json!({ "push": presences }),
            sender.moment(),
        ));
    }
    Ok(written)
}

fn presence(row: &PresenceRow, user_id: &OwnedUserId, now_ms: i64) -> Value {
    let state = match row.state {
        PresenceState::Offline => "offline",
        PresenceState::Online => "online",
        PresenceState::Unavailable => "unavailable",
    };
    let mut presence = json!({
        "user_id": user_id,
        "presence": state,
        "last_active_ago": now_ms.saturating_sub(row.last_active_ms).max(0),
        "currently_active": row.currently_active,
    });
    if let Some(status) = &row.status_msg {
        presence["status_msg"] = json!(status);
    }
    presence
}

//! What a user has set for a room follows him into the room that replaces it: its tags, its push rule, that it is a direct chat.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#room-upgrades>

use plexus_core::push_rules::Kind as RuleKind;
use plexus_storage::rooms::RoomInfo;
use ruma::{OwnedRoomId, RoomId};
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};

use super::{access::now, standing::membership};
use crate::{
    Ctx, Requester, ServiceError,
    push::rules::{self, RuleChange},
    users::{
        account_data::set_account_data,
        tags::{change_tag, get_tags},
    },
};

/// Takes along what the requester, who has just joined, had set for the room that this one replaces. Should that fail, he is in the room all the same.
pub(super) async fn take_along(ctx: &Ctx, requester: &Requester, room_id: &RoomId) {
    if let Err(error) = try_take_along(ctx, requester, room_id).await {
        tracing::warn!(room.id = %room_id, error = %error, "a user's settings did not follow him into a room's replacement");
    }
}

async fn try_take_along(ctx: &Ctx, requester: &Requester, room_id: &RoomId) -> Result<(), ServiceError> {
    let Some(room) = ctx.store.room(room_id).await? else {
        return Ok(());
    };
    let Some(old_id) = predecessor(ctx, &room).await? else {
        return Ok(());
    };
    let Some(old) = ctx.store.room(&old_id).await? else {
        return Ok(());
    };
    if membership(ctx, requester, &old).await?.is_none() {
        return Ok(());
    }
    take_tags(ctx, requester, &old_id, room_id).await?;
    take_direct(ctx, requester, &old_id, room_id).await?;
    take_push_rule(ctx, requester, &old_id, room_id).await
}

/// The room that a room says it replaces.
async fn predecessor(ctx: &Ctx, room: &RoomInfo) -> Result<Option<OwnedRoomId>, ServiceError> {
    let root = ctx.store.room_root_at(room.nid, now(ctx)).await?.unwrap_or_default();
    let create = ctx.store.state_event(room.nid, root, "m.room.create", "").await?;
    let content: Value = create
        .and_then(|create| create.body.content_as().ok())
        .unwrap_or_default();
    let old = content["predecessor"]["room_id"].as_str();
    Ok(old.and_then(|old| old.try_into().ok()))
}

async fn take_tags(ctx: &Ctx, requester: &Requester, old: &RoomId, new: &RoomId) -> Result<(), ServiceError> {
    let user_id = &requester.user_id;
    let tags = get_tags(ctx, requester, user_id, old).await?;
    let tags: Map<String, Value> = serde_json::from_str(tags.get()).unwrap_or_default();
    for (tag, content) in tags {
        let content = raw(&content)?;
        change_tag(ctx, requester, user_id, new, &tag, Some(&content)).await?;
    }
    Ok(())
}

async fn take_direct(ctx: &Ctx, requester: &Requester, old: &RoomId, new: &RoomId) -> Result<(), ServiceError> {
    let Some(entry) = ctx.store.account_data(requester.user, None, "m.direct").await? else {
        return Ok(());
    };
    let mut direct: Map<String, Value> = serde_json::from_str(entry.content.get()).unwrap_or_default();
    let before = direct.clone();
    for rooms in direct.values_mut().filter_map(Value::as_array_mut) {
        if rooms.iter().any(|room| room == old.as_str()) && !rooms.iter().any(|room| room == new.as_str()) {
            rooms.push(new.as_str().into());
        }
    }
    if direct == before {
        return Ok(());
    }
    let content = raw(&Value::Object(direct))?;
    set_account_data(ctx, requester, &requester.user_id, None, "m.direct", &content).await
}

async fn take_push_rule(ctx: &Ctx, requester: &Requester, old: &RoomId, new: &RoomId) -> Result<(), ServiceError> {
    let rules = rules::of_user(ctx, requester.user, &requester.user_id).await?;
    let Some(rule) = rules.set.get(RuleKind::Room, old.as_str()) else {
        return Ok(());
    };
    let put = RuleChange::Put {
        rule: raw(&json!({"actions": rule.actions}))?,
        before: None,
        after: None,
    };
    rules::change_rule(ctx, requester, RuleKind::Room, new.as_str(), put).await?;
    if rule.enabled {
        return Ok(());
    }
    rules::change_rule(
        ctx,
        requester,
        RuleKind::Room,
        new.as_str(),
        RuleChange::SetEnabled(false),
    )
    .await
}

fn raw(value: &Value) -> Result<Box<RawValue>, ServiceError> {
    to_raw_value(value).map_err(ServiceError::internal)
}

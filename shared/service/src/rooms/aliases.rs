//! Room aliases.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#room-aliases>

use plexus_core::auth::PowerLevels;
use plexus_proto::{self as proto, command::Kind};
use plexus_storage::rooms::RoomInfo;
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedServerName, RoomAliasId, RoomId, RoomOrAliasId, ServerName};
use serde_json::{Map, Value, value::RawValue};

use super::{
    access::now,
    send::send_state,
    standing::{is_joined, outside},
};
use crate::{Ctx, Requester, ServiceError, error::Refusal, federation::directory::resolve, ids::new_command};

/// Most aliases that one `m.room.canonical_alias` may add.
const NEW_ALIASES_MAX: usize = 100;
/// Longest alias, in bytes.
const ALIAS_BYTES_MAX: usize = 255;
const CANONICAL: &str = "m.room.canonical_alias";

/// The alias of this server with a localpart that a client chose.
pub fn local_alias(server_name: &ServerName, localpart: &str) -> Result<OwnedRoomAliasId, ServiceError> {
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || c == ':';
    if localpart.is_empty() || localpart.contains(is_bad) {
        let why = "a room alias's name has no colon and no white space, and is not empty";
        return Err(ServiceError::invalid_param(why));
    }
    let alias = format!("#{localpart}:{server_name}");
    if alias.len() > ALIAS_BYTES_MAX {
        return Err(ServiceError::invalid_param("the room alias is too long"));
    }
    alias
        .try_into()
        .map_err(|_| ServiceError::invalid_param("the room alias is not valid"))
}

/// The room that a client names by its id or by an alias, and the servers that are said to be in it.
pub async fn locate_room(ctx: &Ctx, room: &RoomOrAliasId) -> Result<(OwnedRoomId, Vec<OwnedServerName>), ServiceError> {
    match <&RoomAliasId>::try_from(room) {
        Ok(alias) => {
            let found = resolve(ctx, alias).await?;
            Ok((found.room_id, found.servers))
        }
        Err(room_id) => Ok((room_id.to_owned(), Vec::new())),
    }
}

/// Makes an alias of a room.
pub async fn set_alias(
    ctx: &Ctx,
    requester: &Requester,
    alias: &RoomAliasId,
    room_id: &RoomId,
) -> Result<(), ServiceError> {
    if alias.server_name() != ctx.config.server_name {
        return Err(ServiceError::invalid_param("the alias is of another server"));
    }
    local_alias(&ctx.config.server_name, alias.alias())?;
    let needs_membership = ctx.config.rooms.aliases_need_membership && !requester.admin;
    if needs_membership && !is_joined(ctx, requester, room_id).await? {
        return Err(outside());
    }
    let command = proto::SetAlias {
        alias: alias.to_string(),
        room_id: room_id.to_string(),
        creator: requester.user_id.to_string(),
    };
    ctx.replica.run(new_command(Kind::SetAlias(command))).await?;
    Ok(())
}

/// Takes an alias away, and out of the room's state as far as the requester has the power for it.
pub async fn delete_alias(ctx: &Ctx, requester: &Requester, alias: &RoomAliasId) -> Result<(), ServiceError> {
    let unknown = || ServiceError::not_found("there is no such room alias");
    let stored = ctx.store.room_alias(alias).await?.ok_or_else(unknown)?;
    let room = ctx.store.room_by_nid(stored.room).await?;
    let room = room.ok_or_else(|| ServiceError::internal("an alias of an unknown room"))?;
    let own = stored.creator == requester.user || requester.admin;
    if !own && !may_set(ctx, requester, &room, CANONICAL).await? {
        return Err(ServiceError::forbidden("you have not made this alias"));
    }
    let command = proto::DeleteAlias {
        alias: alias.to_string(),
    };
    ctx.replica.run(new_command(Kind::DeleteAlias(command))).await?;
    remove_from_state(ctx, requester, &room, alias).await
}

async fn remove_from_state(
    ctx: &Ctx,
    requester: &Requester,
    room: &RoomInfo,
    alias: &RoomAliasId,
) -> Result<(), ServiceError> {
    let Some(mut content) = canonical(ctx, room).await? else {
        return Ok(());
    };
    let before = content.clone();
    if content.get("alias").is_some_and(|main| main == alias.as_str()) {
        content.remove("alias");
    }
    if let Some(Value::Array(others)) = content.get_mut("alt_aliases") {
        others.retain(|other| other != alias.as_str());
        if others.is_empty() {
            content.remove("alt_aliases");
        }
    }
    if content == before {
        return Ok(());
    }
    let content = serde_json::value::to_raw_value(&content).map_err(ServiceError::internal)?;
    match send_state(ctx, requester, &room.id, CANONICAL, "", &content).await {
        // The alias is gone all the same: it need not have been his to say so in the room.
        Ok(_) | Err(ServiceError::Matrix { status: 403, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The aliases of a room, for its members and for everybody if everybody may read it.
pub async fn list_aliases(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
) -> Result<Vec<OwnedRoomAliasId>, ServiceError> {
    let room = ctx.store.room(room_id).await?.ok_or_else(outside)?;
    if !is_joined(ctx, requester, room_id).await? {
        let state_root = ctx.store.room_root_at(room.nid, now(ctx)).await?.unwrap_or_default();
        if !ctx.store.room_summary(room.nid, state_root).await?.world_readable {
            return Err(outside());
        }
    }
    Ok(ctx.store.room_aliases(room.nid).await?)
}

/// Checks that the aliases which an `m.room.canonical_alias` adds lead to the room.
pub async fn check_canonical(ctx: &Ctx, room_id: &RoomId, content: &RawValue) -> Result<(), ServiceError> {
    let Some(room) = ctx.store.room(room_id).await? else {
        // The master says what is to be said of rooms that are not there.
        return Ok(());
    };
    let content: Map<String, Value> = serde_json::from_str(content.get()).unwrap_or_default();
    let known = canonical(ctx, &room).await?.unwrap_or_default();
    let known = named(&known)?;
    let new: Vec<&str> = named(&content)?
        .into_iter()
        .filter(|alias| !known.contains(alias))
        .collect();
    if new.len() > NEW_ALIASES_MAX {
        return Err(ServiceError::invalid_param(format!(
            "at most {NEW_ALIASES_MAX} aliases are added at once"
        )));
    }
    for text in new {
        let alias = <&RoomAliasId>::try_from(text);
        let alias = alias.map_err(|_| ServiceError::invalid_param(format!("{text:?} is no room alias")))?;
        if !leads_to(ctx, alias, room_id).await? {
            let why = format!("{alias} does not lead to this room");
            return Err(ServiceError::refused(Refusal::BadAlias, why));
        }
    }
    Ok(())
}

/// Whether an alias of any server leads to a room. One whose server does not say so does not.
async fn leads_to(ctx: &Ctx, alias: &RoomAliasId, room_id: &RoomId) -> Result<bool, ServiceError> {
    match resolve(ctx, alias).await {
        Ok(found) => Ok(found.room_id == room_id),
        Err(error @ ServiceError::Internal(_)) => Err(error),
        Err(_) => Ok(false),
    }
}

/// Every alias that the content names.
fn named(content: &Map<String, Value>) -> Result<Vec<&str>, ServiceError> {
    let no_alias = || ServiceError::invalid_param("an alias is a text");
    let mut aliases = Vec::new();
    match content.get("alias") {
        None | Some(Value::Null) => {}
        Some(Value::String(alias)) if alias.is_empty() => {}
        Some(alias) => aliases.push(alias.as_str().ok_or_else(no_alias)?),
    }
    match content.get("alt_aliases") {
        None | Some(Value::Null) => {}
        Some(Value::Array(others)) => {
            for other in others {
                aliases.push(other.as_str().ok_or_else(no_alias)?);
            }
        }
        Some(_) => return Err(ServiceError::invalid_param("alt_aliases is no list")),
    }
    Ok(aliases)
}

/// The content of the room's `m.room.canonical_alias`.
async fn canonical(ctx: &Ctx, room: &RoomInfo) -> Result<Option<Map<String, Value>>, ServiceError> {
    let state_root = ctx.store.room_root_at(room.nid, now(ctx)).await?.unwrap_or_default();
    let event = ctx.store.state_event(room.nid, state_root, CANONICAL, "").await?;
    Ok(event.and_then(|event| event.body.content_as().ok()))
}

/// Whether the requester is in the room and has the power to set its state of a type.
pub async fn may_set(ctx: &Ctx, requester: &Requester, room: &RoomInfo, kind: &str) -> Result<bool, ServiceError> {
    if !is_joined(ctx, requester, &room.id).await? {
        return Ok(false);
    }
    let state_root = ctx.store.room_root_at(room.nid, now(ctx)).await?.unwrap_or_default();
    let state = async |kind| ctx.store.state_event(room.nid, state_root, kind, "").await;
    let Some(create) = state("m.room.create").await? else {
        return Ok(false);
    };
    let levels = state("m.room.power_levels").await?;
    let levels = levels.as_ref().map(|event| &*event.body);
    let levels = PowerLevels::read(room.version.rules(), &create.body, levels);
    // Levels that cannot be read give nobody power.
    Ok(
        match (
            levels.user_level(requester.user_id.as_str()),
            levels.event_level(kind, true),
        ) {
            (Ok(has), Ok(needs)) => has >= needs,
            (_, _) => false,
        },
    )
}

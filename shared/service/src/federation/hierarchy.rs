//! Spaces between servers: ours for others, and rooms of spaces that only other servers are in.

use std::{fmt, sync::Arc, time::Duration};

use quick_cache::sync::Cache;
use ruma::{OwnedRoomId, OwnedServerName, RoomId, ServerName};
use serde_json::{Map, Value, json};

use super::{is_resident, told_rooms::clean};
use crate::{
    Ctx, ServiceError,
    rooms::{
        hierarchy::{children, show, target},
        summary::{Asker, look},
    },
};

/// Most rooms of a space that are shown to another server.
const CHILDREN_MAX: usize = 200;
/// Most rooms of other servers that are remembered, each with the rooms in it.
const KEPT_MAX: usize = 100;
/// How long they are.
const KEPT_FOR: Duration = Duration::from_secs(300);
/// Most servers that are asked about one room.
const SERVERS_MAX: usize = 3;

/// A room of other servers, as one of them shows it.
#[derive(Debug)]
pub struct ToldRoom {
    /// The room, with the events that name the rooms in it.
    pub room: Map<String, Value>,
    /// The rooms in it, without theirs.
    pub children: Vec<Map<String, Value>>,
}

type Key = (OwnedRoomId, bool);

/// Rooms of other servers that were asked about lately. Cheap to clone.
#[derive(Clone)]
pub struct ToldRooms(Arc<Cache<Key, (i64, Arc<ToldRoom>)>>);

impl Default for ToldRooms {
    fn default() -> Self {
        Self(Arc::new(Cache::new(KEPT_MAX)))
    }
}

impl fmt::Debug for ToldRooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToldRooms")
    }
}

/// A room and the rooms in it, for another server, as JSON: those that its users could come into or read.
pub async fn get_hierarchy_for_server(
    ctx: &Ctx,
    origin: &ServerName,
    room_id: &RoomId,
    suggested_only: bool,
) -> Result<Value, ServiceError> {
    let unknown = || ServiceError::not_found("there is no such room, or your server may not know of it");
    let asker = Asker::Server(origin);
    let room = look(ctx, asker, room_id).await?.ok_or_else(unknown)?;
    let named = children(ctx, &room, suggested_only).await?;
    let (mut shown, mut inaccessible) = (Vec::new(), Vec::new());
    for child in named.iter().filter_map(|child| target(child)).take(CHILDREN_MAX) {
        if let Some(room) = look(ctx, asker, &child).await? {
            let its_own = children(ctx, &room, suggested_only).await?;
            shown.push(show(&room, &its_own));
        } else if is_here(ctx, &child).await? {
            inaccessible.push(child);
        }
    }
    Ok(json!({"room": show(&room, &named), "children": shown, "inaccessible_children": inaccessible}))
}

/// Whether somebody of this server is in a room, so that what is known of it here is how it is.
pub(crate) async fn is_here(ctx: &Ctx, room_id: &RoomId) -> Result<bool, ServiceError> {
    let Some(room) = ctx.store.room(room_id).await? else {
        return Ok(false);
    };
    is_resident(ctx, room.nid).await
}

/// A room as another server shows it, by one of `via`; none if none of them does.
pub(crate) async fn find_elsewhere(
    ctx: &Ctx,
    room_id: &RoomId,
    via: &[OwnedServerName],
    suggested_only: bool,
) -> Option<Arc<ToldRoom>> {
    let (cache, now_ms) = (&ctx.told_rooms.0, ctx.clock.now_ms());
    let key = (room_id.to_owned(), suggested_only);
    let kept_ms = i64::try_from(KEPT_FOR.as_millis()).unwrap_or(i64::MAX);
    if let Some((told_ms, told)) = cache.get(&key)
        && now_ms - told_ms < kept_ms
    {
        return Some(told);
    }
    let others = via.iter().filter(|server| **server != ctx.config.server_name);
    for server in others.take(SERVERS_MAX) {
        let told = match ctx.federation.fetch_hierarchy(server, room_id, suggested_only).await {
            Ok(told) => told,
            Err(error) => {
                tracing::debug!(room.id = %room_id, %error, "another server does not show a room");
                continue;
            }
        };
        let Some(room) = clean(&told.room).filter(|room| room["room_id"] == room_id.as_str()) else {
            continue;
        };
        let children = told.children.iter().take(CHILDREN_MAX).filter_map(clean).collect();
        let told = Arc::new(ToldRoom { room, children });
        cache.insert(key, (now_ms, Arc::clone(&told)));
        return Some(told);
    }
    None
}

//! What a room shows of itself to somebody who is not in it.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias>

use std::sync::Arc;

use plexus_core::{ids::NodeId, row::Membership};
use plexus_storage::{RoomSummary, rooms::RoomInfo};
use ruma::{RoomId, RoomOrAliasId};
use serde_json::{Map, Value, json};

use super::{access::now, aliases::resolve_room, standing::membership};
use crate::{Ctx, Requester, ServiceError};

/// A room that somebody may know of.
#[derive(Debug)]
pub(super) struct Visible {
    pub(super) room: Arc<RoomInfo>,
    pub(super) root: NodeId,
    pub(super) joined: i64,
    pub(super) summary: Arc<RoomSummary>,
    pub(super) membership: Option<Membership>,
}

/// A room's summary, as JSON.
pub async fn get_summary(
    ctx: &Ctx,
    requester: Option<&Requester>,
    room: &RoomOrAliasId,
) -> Result<Value, ServiceError> {
    let unknown = || ServiceError::not_found("there is no such room, or you may not know of it");
    let room_id = resolve_room(ctx, room).await?;
    let found = look(ctx, requester, &room_id).await?.ok_or_else(unknown)?;
    let mut shown = found.show();
    if let (Some(_), Some(membership)) = (requester, found.membership) {
        shown.insert("membership".to_owned(), membership.as_str().into());
    }
    Ok(Value::Object(shown))
}

impl Visible {
    /// As summaries and spaces show it: more than the directory does.
    pub(super) fn show(&self) -> Map<String, Value> {
        let mut shown = show(&self.room, &self.summary, self.joined);
        shown.insert("room_version".to_owned(), self.room.version.as_str().into());
        if let Some(algorithm) = &self.summary.encryption {
            shown.insert("encryption".to_owned(), algorithm.as_str().into());
        }
        if !self.summary.allowed_rooms.is_empty() {
            shown.insert("allowed_room_ids".to_owned(), json!(self.summary.allowed_rooms));
        }
        shown
    }
}

/// The fields that the directory, summaries and spaces have in common.
pub(super) fn show(room: &RoomInfo, summary: &RoomSummary, joined: i64) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("room_id".to_owned(), room.id.as_str().into());
    shown.insert("num_joined_members".to_owned(), joined.into());
    shown.insert("world_readable".to_owned(), summary.world_readable.into());
    shown.insert("guest_can_join".to_owned(), summary.guest_can_join.into());
    shown.insert("join_rule".to_owned(), summary.join_rule().into());
    let texts = [
        ("name", &summary.name),
        ("topic", &summary.topic),
        ("avatar_url", &summary.avatar_url),
        ("canonical_alias", &summary.canonical_alias),
        ("room_type", &summary.room_type),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            shown.insert(key.to_owned(), text.as_str().into());
        }
    }
    shown
}

/// The room, if somebody may know of it: everybody if it lets anybody in or is readable, members of the rooms it lets in, and who has to do with it.
pub(super) async fn look(
    ctx: &Ctx,
    requester: Option<&Requester>,
    room_id: &RoomId,
) -> Result<Option<Visible>, ServiceError> {
    let Some(room) = ctx.store.room(room_id).await? else {
        return Ok(None);
    };
    let Some(state_root) = ctx.store.room_root_at(room.nid, now(ctx)).await? else {
        return Ok(None);
    };
    let summary = ctx.store.room_summary(room.nid, state_root).await?;
    let membership = match requester {
        Some(requester) => membership(ctx, requester, &room).await?,
        None => None,
    };
    let involved = matches!(
        membership,
        Some(Membership::Join | Membership::Invite | Membership::Knock)
    );
    let open = summary.world_readable || matches!(summary.join_rule(), "public" | "knock" | "knock_restricted");
    if !open && !involved && !is_let_in(ctx, requester, &summary).await? {
        return Ok(None);
    }
    let size = ctx.store.room_sizes(&[room.nid]).await?;
    Ok(Some(Visible {
        joined: size.first().map_or(0, |size| size.joined),
        room,
        root: state_root,
        summary,
        membership,
    }))
}

/// Whether the requester is in one of the rooms whose members are let in.
async fn is_let_in(ctx: &Ctx, requester: Option<&Requester>, summary: &RoomSummary) -> Result<bool, ServiceError> {
    let Some(requester) = requester else {
        return Ok(false);
    };
    for room_id in &summary.allowed_rooms {
        if let Some(room) = ctx.store.room(room_id).await?
            && membership(ctx, requester, &room).await? == Some(Membership::Join)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

//! What a room shows of itself to somebody who is not in it.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias>

use std::sync::Arc;

use plexus_core::{
    ids::{NodeId, UserNid},
    row::Membership,
};
use plexus_storage::{RoomSummary, rooms::RoomInfo};
use ruma::{OwnedRoomId, OwnedServerName, RoomId, RoomOrAliasId, ServerName};
use serde_json::{Map, Value, json};

use super::{access::now, aliases::locate_room, standing::membership};
use crate::{
    Ctx, Requester, ServiceError,
    federation::{
        acl,
        hierarchy::{find_elsewhere, is_here},
        is_resident,
    },
};

/// A room that somebody may know of.
#[derive(Debug)]
pub(crate) struct Visible {
    pub(super) room: Arc<RoomInfo>,
    pub(super) root: NodeId,
    pub(super) joined: i64,
    pub(super) summary: Arc<RoomSummary>,
    pub(super) membership: Option<Membership>,
}

/// Who wants to know of a room.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asker<'a> {
    /// Anybody.
    Nobody,
    /// A user.
    User(&'a Requester),
    /// Another server, for its users.
    Server(&'a ServerName),
}

/// A room's summary, as JSON. A room that nobody here is in is asked for by `via`.
pub async fn get_summary(
    ctx: &Ctx,
    requester: Option<&Requester>,
    room: &RoomOrAliasId,
    via: &[OwnedServerName],
) -> Result<Value, ServiceError> {
    let unknown = || ServiceError::not_found("there is no such room, or you may not know of it");
    let asker = requester.map_or(Asker::Nobody, Asker::User);
    let (room_id, mut servers) = locate_room(ctx, room).await?;
    servers.extend_from_slice(via);
    if let Some(found) = look(ctx, asker, &room_id).await? {
        let mut shown = found.show();
        if let (Some(_), Some(membership)) = (requester, found.membership) {
            shown.insert("membership".to_owned(), membership.as_str().into());
        }
        return Ok(Value::Object(shown));
    }
    // Strangers do not make this server ask others.
    if requester.is_none() || is_here(ctx, &room_id).await? {
        return Err(unknown());
    }
    let told = find_elsewhere(ctx, &room_id, &servers, false)
        .await
        .ok_or_else(unknown)?;
    if !may_know(ctx, asker, &told.room).await? {
        return Err(unknown());
    }
    let mut shown = told.room.clone();
    shown.remove("children_state");
    Ok(Value::Object(shown))
}

/// Whether somebody may know of a room that another server has told of.
pub(super) async fn may_know(ctx: &Ctx, asker: Asker<'_>, told: &Map<String, Value>) -> Result<bool, ServiceError> {
    let text = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default();
    if told.get("world_readable") == Some(&Value::Bool(true)) || lets_ask(text("join_rule")) {
        return Ok(true);
    }
    if let (Asker::User(requester), Ok(room_id)) = (asker, <&RoomId>::try_from(text("room_id")))
        && let Some(room) = ctx.store.room(room_id).await?
        && membership(ctx, requester, &room).await? == Some(Membership::Invite)
    {
        return Ok(true);
    }
    let allowed = told
        .get("allowed_room_ids")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let allowed: Vec<OwnedRoomId> = allowed.filter_map(|id| id.as_str()?.try_into().ok()).collect();
    is_let_in(ctx, asker, &allowed).await
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
pub(crate) async fn look(ctx: &Ctx, asker: Asker<'_>, room_id: &RoomId) -> Result<Option<Visible>, ServiceError> {
    let Some(room) = ctx.store.room(room_id).await? else {
        return Ok(None);
    };
    let Some(state_root) = ctx.store.room_root_at(room.nid, now(ctx)).await? else {
        return Ok(None);
    };
    let summary = ctx.store.room_summary(room.nid, state_root).await?;
    let membership = match asker {
        Asker::User(requester) => membership(ctx, requester, &room).await?,
        Asker::Nobody => None,
        Asker::Server(server) => {
            // What was heard of a room before everybody left it may not be so any more.
            if !is_resident(ctx, room.nid).await? || !acl::allows(ctx, &room, server).await? {
                return Ok(None);
            }
            membership_of_server(ctx, &room, server).await?
        }
    };
    let involved = matches!(
        membership,
        Some(Membership::Join | Membership::Invite | Membership::Knock)
    );
    let open = summary.world_readable || lets_ask(summary.join_rule());
    if !open && !involved && !is_let_in(ctx, asker, &summary.allowed_rooms).await? {
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

/// Whether anybody may join by a rule, or ask to.
pub(super) fn lets_ask(join_rule: &str) -> bool {
    matches!(join_rule, "public" | "knock" | "knock_restricted")
}

/// What a server's users are to a room: in it, or asked in.
async fn membership_of_server(
    ctx: &Ctx,
    room: &RoomInfo,
    server: &ServerName,
) -> Result<Option<Membership>, ServiceError> {
    if ctx.store.room_servers(room.nid).await?.contains(server) {
        return Ok(Some(Membership::Join));
    }
    let members = ctx.store.room_members(room.nid).await?;
    let invited: Vec<UserNid> = members.with(Membership::Invite).map(|(user, _)| user).collect();
    let invited = ctx.store.user_ids(&invited).await?;
    let is_invited = invited.iter().flatten().any(|user| user.server_name() == server);
    Ok(is_invited.then_some(Membership::Invite))
}

/// Whether somebody is in one of the rooms whose members are let in.
pub(super) async fn is_let_in(ctx: &Ctx, asker: Asker<'_>, allowed: &[OwnedRoomId]) -> Result<bool, ServiceError> {
    for room_id in allowed {
        let Some(room) = ctx.store.room(room_id).await? else {
            continue;
        };
        let is_in = match asker {
            Asker::Nobody => false,
            Asker::User(requester) => membership(ctx, requester, &room).await? == Some(Membership::Join),
            Asker::Server(server) => ctx.store.room_servers(room.nid).await?.contains(server),
        };
        if is_in {
            return Ok(true);
        }
    }
    Ok(false)
}

//! Inviting somebody by his e-mail address or phone number.
//!
//! An identity server knows whose an address is. If it is nobody's yet, the room keeps an invite of the address, `m.room.third_party_invite`, and whoever
//! proves to the identity server that the address is his is invited for it ([`bound`]).
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#third-party-invites>

pub mod bound;

use plexus_core::{
    auth::{Level, PowerLevels},
    ids::NodeId,
};
use plexus_federation::identity::{Address, IdentityError, IdentityServer, InviteToStore, StoredInvite};
use plexus_proto::{self as proto, change_membership::Action, command::Kind};
use plexus_storage::rooms::RoomInfo;
use ruma::{OwnedServerName, OwnedUserId, RoomId, ServerName};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    access::{now, require_joined},
    membership::{Change, change_membership},
};
use crate::{Ctx, Requester, ServiceError, error::Refusal, ids::command};

/// The type of the event by which a room keeps an invite of an address.
const KIND: &str = "m.room.third_party_invite";
/// Longest address, and longest token of a client for an identity server, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// Whom a client invites, and who knows him.
#[derive(Clone, Deserialize)]
pub struct AddressInvite {
    /// The identity server to ask.
    pub id_server: String,
    /// What the client shows there.
    pub id_access_token: String,
    /// `email` or `msisdn`.
    pub medium: String,
    /// The address.
    pub address: String,
}

impl std::fmt::Debug for AddressInvite {
    /// Without the token and the address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddressInvite")
            .field("id_server", &self.id_server)
            .field("medium", &self.medium)
            .finish_non_exhaustive()
    }
}

/// Invites whoever has an address, now or later.
pub async fn invite_address(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    invite: &AddressInvite,
    transaction: Option<&str>,
) -> Result<(), ServiceError> {
    let server = check_invite(ctx, invite)?;
    // Before anybody else learns of it: neither is this a way to look up addresses, nor are people written to in vain.
    let (room, state) = require_inviter(ctx, requester, room_id).await?;
    let address = comparable(invite);
    let identity = ctx.federation.identity_server(&server, &invite.id_access_token);
    let user_id = match identity.look_up(&address).await.map_err(of_client)? {
        Some(user_id) => user_id,
        None => match store_invite(ctx, requester, &room, state, (identity, &address)).await? {
            Stored::Kept(stored) => return announce(ctx, requester, room_id, stored, (&address, transaction)).await,
            Stored::Taken(user_id) => user_id,
        },
    };
    let change = Change {
        transaction: transaction.map(ToOwned::to_owned),
        ..Change::new(room_id, &user_id, Action::Invite, None)
    };
    change_membership(ctx, requester, change).await?;
    Ok(())
}

/// Whether an identity server may be asked for this; its name.
pub(super) fn check_invite(ctx: &Ctx, invite: &AddressInvite) -> Result<OwnedServerName, ServiceError> {
    let server = ServerName::parse(invite.id_server.to_ascii_lowercase());
    let server = server.map_err(|_| ServiceError::invalid_param("id_server is no host's name"))?;
    if !ctx.config.identity_servers.contains(server.as_str()) {
        let why = "the identity server is not one that this server asks";
        return Err(ServiceError::refused(Refusal::ServerNotTrusted, why));
    }
    let is_word = |text: &str| !text.is_empty() && text.len() <= TEXT_BYTES_MAX;
    if !is_word(&invite.id_access_token) || !invite.id_access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ServiceError::invalid_param("id_access_token is no access token"));
    }
    if !is_word(&invite.medium) || !is_word(&invite.address) {
        return Err(ServiceError::invalid_param(
            "medium and address are missing or too long",
        ));
    }
    Ok(server)
}

/// The room and its state, if the requester may invite somebody to it.
async fn require_inviter(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
) -> Result<(std::sync::Arc<RoomInfo>, NodeId), ServiceError> {
    let room = require_joined(ctx, requester, room_id).await?;
    let state = ctx.store.room_root_at(room.nid, now(ctx)).await?.unwrap_or_default();
    let event = async |kind| ctx.store.state_event(room.nid, state, kind, "").await;
    let may_invite = match event("m.room.create").await? {
        None => false,
        Some(create) => {
            let power = event("m.room.power_levels").await?;
            let levels = PowerLevels::read(
                room.version.rules(),
                &create.body,
                power.as_ref().map(|event| &*event.body),
            );
            let own = levels.user_level(requester.user_id.as_str());
            matches!((own, levels.level(Level::Invite)), (Ok(own), Ok(needed)) if own >= needed)
        }
    };
    if may_invite {
        Ok((room, state))
    } else {
        Err(ServiceError::forbidden("You may not invite users to this room"))
    }
}

/// An address in the form in which two are compared.
fn comparable(invite: &AddressInvite) -> Address {
    Address {
        medium: invite.medium.clone(),
        address: if invite.medium == "email" {
            invite.address.to_lowercase()
        } else {
            invite.address.clone()
        },
    }
}

/// What has become of an invite that an identity server was given.
enum Stored {
    /// It waits.
    Kept(StoredInvite),
    /// Somebody has the address since.
    Taken(OwnedUserId),
}

async fn store_invite(
    ctx: &Ctx,
    requester: &Requester,
    room: &RoomInfo,
    state: NodeId,
    (identity, address): (IdentityServer<'_>, &Address),
) -> Result<Stored, ServiceError> {
    let summary = ctx.store.room_summary(room.nid, state).await?;
    let own = requester.user_id.as_str();
    let member = ctx.store.state_event(room.nid, state, "m.room.member", own).await?;
    let of_member = |field: &str| member.as_ref().and_then(|member| member.body.content_string(field));
    let shown = [
        ("room_name", summary.name.clone()),
        ("room_alias", summary.canonical_alias.clone()),
        ("room_avatar_url", summary.avatar_url.clone()),
        ("room_join_rules", Some(summary.join_rule().to_owned())),
        ("room_type", summary.room_type.clone()),
        ("sender_display_name", of_member("displayname")),
        ("sender_avatar_url", of_member("avatar_url")),
    ];
    let shown = shown
        .into_iter()
        .filter_map(|(field, value)| Some((field.to_owned(), value?.into())));
    let invite = InviteToStore {
        medium: address.medium.clone(),
        address: address.address.clone(),
        room_id: room.id.to_string(),
        sender: own.to_owned(),
        shown: shown.collect(),
    };
    match identity.store_invite(&invite).await {
        Ok(stored) => Ok(Stored::Kept(stored)),
        Err(IdentityError::Refused {
            mxid: Some(user_id),
            errcode,
            ..
        }) if errcode == "M_THREEPID_IN_USE" => Ok(Stored::Taken(user_id)),
        Err(error) => Err(of_client(error)),
    }
}

/// Says in the room that an address is invited.
async fn announce(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    stored: StoredInvite,
    (address, transaction): (&Address, Option<&str>),
) -> Result<(), ServiceError> {
    let key = |(key, url): &(String, Option<String>)| {
        let mut entry = Map::new();
        entry.insert("public_key".to_owned(), key.as_str().into());
        entry.extend(
            url.as_ref()
                .map(|url| ("key_validity_url".to_owned(), url.as_str().into())),
        );
        entry
    };
    // The first once more, for those who know of one key only.
    let mut content: Map<String, Value> = stored.public_keys.first().map(key).unwrap_or_default();
    content.insert("display_name".to_owned(), stored.display_name.into());
    content.insert(
        "public_keys".to_owned(),
        json!(stored.public_keys.iter().map(key).collect::<Vec<_>>()),
    );
    let event = proto::SendEvent {
        room_id: room_id.to_string(),
        sender: requester.user_id.to_string(),
        kind: KIND.to_owned(),
        state_key: Some(stored.token),
        content: Value::Object(content).to_string().into(),
        redacts: None,
        transaction: None,
    };
    let endpoint = ["invite", room_id.as_str(), &address.medium, &address.address];
    let command = command(requester, &endpoint, transaction, Kind::SendEvent(event));
    ctx.replica.run(command).await?;
    Ok(())
}

/// What an identity server refuses is refused here with its own errcode, but for what would be said of the client's session here.
fn of_client(error: IdentityError) -> ServiceError {
    match error {
        IdentityError::Refused { status, .. } if status.as_u16() == 401 => {
            ServiceError::forbidden("the identity server does not take the access token")
        }
        IdentityError::Refused {
            status, errcode, error, ..
        } if matches!(status.as_u16(), 400 | 403) && errcode.starts_with("M_") => ServiceError::Matrix {
            status: status.as_u16(),
            errcode,
            error,
        },
        IdentityError::Refused { .. }
        | IdentityError::Unreachable { .. }
        | IdentityError::Malformed(_)
        | IdentityError::Stopping => ServiceError::Unavailable(error.to_string()),
    }
}

//! An address that was invited turns out to be a user's: the invite of the address becomes one of the user.
//!
//! Only the server of who invited can say so. It looks at what the identity server has signed before it asks whether the key is still good, and at what is
//! known here before it asks anybody.

use futures_util::future::join_all;
use plexus_core::{
    auth::third_party::{InviteKey, signing_keys},
    event::canonical::canonical_object,
    ids::NodeId,
    room_version::Numbers,
    row::Membership,
};
use plexus_federation::identity::KeyUrl;
use plexus_proto::{self as proto, change_membership::Action, command::Kind};
use plexus_storage::rooms::RoomInfo;
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::KIND;
use crate::{
    Ctx, ServiceError,
    error::Refusal,
    federation::{invite::send_invite, is_resident},
    ids::new_command,
    rooms::access::now,
};

/// Most invites that are taken at once: each may be a request to another server.
const INVITES_MAX: usize = 20;
/// Most keys that are asked after for one invite.
const KEYS_MAX: usize = 3;

/// An invite of an address, and the proof that the address is the user's.
#[derive(Clone, Debug, Deserialize)]
pub struct PendingInvite {
    pub room_id: OwnedRoomId,
    /// Who invited the address.
    pub sender: OwnedUserId,
    /// What the identity server has signed: the user, and the invite's token.
    pub signed: Value,
}

/// Takes the invites of an address that is a user's now.
///
/// Nothing shows who says so, and for each invite another server may be asked: so they are few, for users who are there, and few such requests are under way.
pub async fn take_binding(ctx: &Ctx, user_id: &UserId, invites: Vec<PendingInvite>) -> Result<(), ServiceError> {
    if invites.len() > INVITES_MAX {
        return Err(ServiceError::invalid_param(format!("more than {INVITES_MAX} invites")));
    }
    let account = match ctx.store.user_nid(user_id).await? {
        Some(user) if user_id.server_name() == ctx.config.server_name => ctx.store.account(user).await?,
        Some(_) | None => None,
    };
    if account.is_none_or(|account| account.deactivated) {
        return Err(ServiceError::not_found("there is no such user on this server"));
    }
    let too_many = || ServiceError::refused(Refusal::LimitExceeded, "too many addresses are bound at the moment");
    let _turn = ctx.inbound.bindings.enter().ok_or_else(too_many)?;
    let taken = invites.into_iter().map(|invite| take_invite(ctx, user_id, invite));
    let outcomes = join_all(taken.collect::<Vec<_>>()).await;
    outcomes.into_iter().collect()
}

/// Has a user of this server invited to where an address of his was.
pub async fn take_invite(ctx: &Ctx, user_id: &UserId, invite: PendingInvite) -> Result<(), ServiceError> {
    if invite.signed["mxid"] != user_id.as_str() {
        return Err(ServiceError::forbidden("the invite is signed for another user"));
    }
    let server = invite.sender.server_name();
    if server != ctx.config.server_name {
        let event = json!({
            "type": "m.room.member",
            "room_id": invite.room_id,
            "sender": invite.sender,
            "state_key": user_id,
            "content": {
                "membership": "invite",
                // He who has it knows better.
                "third_party_invite": {"display_name": "", "signed": invite.signed},
            },
        });
        let exchange = ctx
            .federation
            .exchange_third_party_invite(server, &invite.room_id, &event);
        return exchange.await.map_err(ServiceError::from);
    }
    let room = ctx.store.room(&invite.room_id).await?;
    match room {
        Some(room) if is_resident(ctx, room.nid).await? => {
            invite_bound(ctx, &room, &invite.sender, user_id, &invite.signed).await
        }
        Some(_) | None => Err(not_invited()),
    }
}

/// Invites a user, in the name of the user of this server who has invited his address.
pub(crate) async fn invite_bound(
    ctx: &Ctx,
    room: &RoomInfo,
    sender: &UserId,
    target: &UserId,
    signed: &Value,
) -> Result<(), ServiceError> {
    let state = ctx.store.room_root_at(room.nid, now(ctx)).await?.unwrap_or_default();
    let token = signed["token"].as_str().unwrap_or_default();
    let announced = ctx.store.state_event(room.nid, state, KIND, token).await?;
    let announced = announced
        .filter(|announced| announced.body.sender() == sender)
        .ok_or_else(not_invited)?;
    let canonical = canonical_object(signed.to_string().as_bytes(), Numbers::Strict);
    let canonical = canonical.map_err(|error| ServiceError::bad_json(error.to_string()))?;
    let keys = signing_keys(announced.body.content(), &canonical);
    if signed["mxid"] != target.as_str() || keys.is_empty() {
        return Err(ServiceError::forbidden(
            "the identity server has not signed the invite for this user",
        ));
    }
    if is_joined(ctx, room, state, target).await? {
        return Ok(());
    }
    require_good_key(ctx, &keys).await?;
    // The address is shown as it is in the room.
    let display_name = announced.body.content_string("display_name").unwrap_or_default();
    let invite = json!({"display_name": display_name, "signed": signed});
    let change = proto::ChangeMembership {
        room_id: room.id.to_string(),
        sender: sender.to_string(),
        target: target.to_string(),
        action: Action::Invite.into(),
        content: Some(
            Value::Object(Map::from_iter([("third_party_invite".to_owned(), invite)]))
                .to_string()
                .into(),
        ),
        ..proto::ChangeMembership::default()
    };
    if target.server_name() == ctx.config.server_name {
        ctx.replica.run(new_command(Kind::ChangeMembership(change))).await?;
    } else {
        send_invite(ctx, change).await?;
    }
    Ok(())
}

/// The rules would make an invited one of him again.
async fn is_joined(ctx: &Ctx, room: &RoomInfo, state: NodeId, user_id: &UserId) -> Result<bool, ServiceError> {
    let member = ctx
        .store
        .state_event(room.nid, state, "m.room.member", user_id.as_str())
        .await?;
    let word = member.and_then(|member| member.body.content_string("membership"));
    Ok(word.and_then(|word| Membership::parse(&word)) == Some(Membership::Join))
}

/// Whether one of the keys that have signed is still good, as the server that was in the room first has to find out.
async fn require_good_key(ctx: &Ctx, keys: &[InviteKey]) -> Result<(), ServiceError> {
    let mut refusal = None;
    for key in keys.iter().take(KEYS_MAX) {
        let Some(url) = &key.validity_url else { return Ok(()) };
        match is_good(ctx, url, &key.text).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => refusal = Some(error),
        }
    }
    Err(refusal
        .unwrap_or_else(|| ServiceError::forbidden("the key that the invite is signed with is not valid any more")))
}

async fn is_good(ctx: &Ctx, url: &str, key: &str) -> Result<bool, ServiceError> {
    let wrong = || ServiceError::forbidden("nobody can be asked whether the key of the invite is still valid");
    let url = KeyUrl::parse(url).ok_or_else(wrong)?;
    if !ctx.config.identity_servers.contains(url.server()) {
        return Err(wrong());
    }
    let asked = ctx.federation.is_invite_key_valid(&url, key).await;
    asked.map_err(|error| ServiceError::Unavailable(error.to_string()))
}

fn not_invited() -> ServiceError {
    ServiceError::forbidden("no such address was invited")
}

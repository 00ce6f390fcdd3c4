//! Making rooms: what a client asks for, as the room's first events.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom>

mod expand;

use futures_util::future::join_all;
use plexus_core::room_version::RoomVersion;
use plexus_proto::{self as proto, change_membership::Action, command::Kind};
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

pub use self::expand::{Member, expand};
use super::{
    aliases::local_alias,
    membership::{Change, change_membership},
    third_party::{AddressInvite, check_invite, invite_address},
};
use crate::{
    Ctx, Requester, ServiceError,
    ids::{command, random_text},
};

/// Characters of a room id that this server makes up.
pub(super) const OPAQUE_ID_CHARS: usize = 18;
/// Most users invited with the room's creation.
const INVITES_MAX: usize = 200;
/// Most addresses invited with it: an identity server is asked about each.
const ADDRESSES_MAX: usize = 20;
/// Most events of `initial_state`.
const INITIAL_STATE_MAX: usize = 200;

/// A JSON object.
pub type Object = Map<String, Value>;

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub struct NewRoom {
    /// The client's transaction: the same again makes no other room.
    pub transaction: Option<String>,
    /// The configured default if there is none.
    pub version: Option<String>,
    pub preset: Option<Preset>,
    /// Whether the room is to be listed in the directory.
    pub public: bool,
    pub name: Option<String>,
    pub topic: Option<String>,
    pub invite: Vec<OwnedUserId>,
    /// Who is to be invited by e-mail address or phone number.
    pub invite_addresses: Vec<AddressInvite>,
    pub alias_localpart: Option<String>,
    pub is_direct: bool,
    pub creation_content: Object,
    pub initial_state: Vec<InitialState>,
    pub power_levels_override: Object,
}

/// A named set of rules for a new room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    PrivateChat,
    TrustedPrivateChat,
    PublicChat,
}

/// A state event that the room is to begin with.
#[derive(Clone, Debug, Deserialize)]
pub struct InitialState {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub state_key: String,
    /// As the client wrote it: what numbers and names it has is judged where every event's content is.
    pub content: Box<RawValue>,
}

/// Makes a room with its creator in it.
pub async fn create_room(ctx: &Ctx, requester: &Requester, room: NewRoom) -> Result<OwnedRoomId, ServiceError> {
    check_limits(&room)?;
    for invite in &room.invite_addresses {
        check_invite(ctx, invite)?;
    }
    let version = match &room.version {
        Some(version) => version.parse().map_err(|_| ServiceError::UnsupportedRoomVersion)?,
        None => ctx.config.default_room_version,
    };
    let creator = load_member(ctx, requester.user_id.clone()).await?;
    let mut invited = Vec::with_capacity(room.invite.len());
    for user_id in &room.invite {
        if *user_id != requester.user_id && !invited.iter().any(|member: &Member| member.user_id == *user_id) {
            invited.push(load_member(ctx, user_id.clone()).await?);
        }
    }
    let alias = room.alias_localpart.as_ref();
    let alias = alias.map(|localpart| local_alias(&ctx.config.server_name, localpart));
    let alias = alias.transpose()?;
    let events = expand(&room, version, alias.as_deref(), &creator, &invited)?;
    let create = proto::CreateRoom {
        room_version: version_number(version),
        creator: requester.user_id.to_string(),
        opaque_id: random_text(OPAQUE_ID_CHARS),
        events,
        alias: alias.map(|alias| alias.to_string()),
        listed: room.public,
    };
    let command = command(
        requester,
        &["createRoom"],
        room.transaction.as_deref(),
        Kind::CreateRoom(create),
    );
    let result = ctx.replica.run(command).await?;
    let room_id = result
        .room_id
        .ok_or_else(|| ServiceError::internal("the master named no room"))?;
    let room_id = RoomId::parse(room_id).map_err(ServiceError::internal)?;
    invite_others(ctx, requester, &room_id, (&invited, room.is_direct)).await;
    invite_addresses(ctx, requester, &room_id, &room.invite_addresses).await;
    Ok(room_id)
}

/// Invites users of other servers, whose servers have to sign. The room is there by now, and who it is made for: one who cannot be invited is told of in the
/// log, and is seen not to be invited.
async fn invite_others(ctx: &Ctx, requester: &Requester, room_id: &RoomId, (invited, is_direct): (&[Member], bool)) {
    let mut content = Map::new();
    if is_direct {
        content.insert("is_direct".to_owned(), true.into());
    }
    let is_other = |member: &&Member| member.user_id.server_name() != ctx.config.server_name;
    let changes = invited.iter().filter(is_other).map(|member| {
        let change = Change {
            content: content.clone(),
            ..Change::new(room_id, &member.user_id, Action::Invite, None)
        };
        change_membership(ctx, requester, change)
    });
    let under_way: Vec<_> = changes.collect();
    for error in join_all(under_way).await.into_iter().filter_map(Result::err) {
        tracing::warn!(room.id = %room_id, %error, "a user of another server is not invited");
    }
}

/// The same for those of whom only an address is known: their identity servers are asked.
async fn invite_addresses(ctx: &Ctx, requester: &Requester, room_id: &RoomId, invites: &[AddressInvite]) {
    let asked = invites.iter();
    let under_way: Vec<_> = asked
        .map(|invite| invite_address(ctx, requester, room_id, invite, None))
        .collect();
    for error in join_all(under_way).await.into_iter().filter_map(Result::err) {
        tracing::warn!(room.id = %room_id, %error, "an address is not invited");
    }
}

fn check_limits(room: &NewRoom) -> Result<(), ServiceError> {
    if room.invite_addresses.len() > ADDRESSES_MAX {
        return Err(ServiceError::invalid_param(format!(
            "at most {ADDRESSES_MAX} addresses are invited at once"
        )));
    }
    if room.invite.len() > INVITES_MAX {
        return Err(ServiceError::invalid_param(format!(
            "at most {INVITES_MAX} users are invited at once"
        )));
    }
    if room.initial_state.len() > INITIAL_STATE_MAX {
        return Err(ServiceError::invalid_param(format!(
            "at most {INITIAL_STATE_MAX} events of initial_state"
        )));
    }
    Ok(())
}

/// A user with what his member event shows of his profile.
async fn load_member(ctx: &Ctx, user_id: OwnedUserId) -> Result<Member, ServiceError> {
    let mut member = Member {
        user_id,
        display_name: None,
        avatar_url: None,
    };
    if let Some(user) = ctx.store.user_nid(&member.user_id).await? {
        let profile = ctx.store.profile(user).await?;
        let text = |field: &str| {
            profile
                .get(field)
                .and_then(|value| serde_json::from_str(value.get()).ok())
        };
        member.display_name = text("displayname");
        member.avatar_url = text("avatar_url");
    }
    Ok(member)
}

/// The version as Commands carry it: its place among all, from 1.
pub(crate) fn version_number(version: RoomVersion) -> u32 {
    let place = RoomVersion::ALL
        .iter()
        .position(|known| *known == version)
        .unwrap_or_default();
    u32::try_from(place + 1).unwrap_or(u32::MAX)
}

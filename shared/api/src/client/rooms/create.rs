//! `POST /createRoom`.

use plexus_service::rooms::{
    create::{InitialState, NewRoom, Object, Preset, create_room},
    third_party::AddressInvite,
};
use ruma::{
    api::client::{
        membership::Invite3pid,
        room::{
            Visibility,
            create_room::v3::{Request, Response, RoomPreset},
        },
    },
    serde::Raw,
};

use crate::{
    call::{Call, typed},
    error::Error,
    extract::request::parse_json,
    routes::{Auth, Route},
};

/// Room for initial state, invites and power levels: more than one event's worth.
const BODY_CAP: usize = 1024 * 1024;

pub(in crate::client) const ROUTE: Route = Route {
    body_cap: BODY_CAP,
    ..Route::of::<Request>("create_room", Auth::User, |call| Box::pin(typed(call, handle)))
};

pub(in crate::client) const TRANSACTION_ROUTE: Route = Route {
    body_cap: BODY_CAP,
    ..Route::of_transaction::<Request>("create_room_txn", Auth::User, |call| Box::pin(typed(call, handle)))
};

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let mut room = new_room(request)?;
    room.transaction.clone_from(&call.transaction);
    let room_id = create_room(call.ctx(), call.requester()?, room).await?;
    Ok(Response::new(room_id))
}

fn new_room(request: Request) -> Result<NewRoom, Error> {
    let preset = match request.preset {
        None => None,
        Some(RoomPreset::PrivateChat) => Some(Preset::PrivateChat),
        Some(RoomPreset::TrustedPrivateChat) => Some(Preset::TrustedPrivateChat),
        Some(RoomPreset::PublicChat) => Some(Preset::PublicChat),
        Some(other) => return Err(Error::invalid_param(format!("the preset {other} is not known"))),
    };
    let public = match request.visibility {
        Visibility::Public => true,
        Visibility::Private => false,
        other => return Err(Error::invalid_param(format!("the visibility {other} is not known"))),
    };
    let initial_state: Result<Vec<InitialState>, Error> = request
        .initial_state
        .iter()
        .map(|event| parse_json(event.json().get().as_bytes()))
        .collect();
    Ok(NewRoom {
        transaction: None,
        version: request.room_version.map(|version| version.to_string()),
        preset,
        public,
        name: request.name,
        topic: request.topic,
        invite: request.invite,
        invite_addresses: request.invite_3pid.into_iter().map(address_invite).collect(),
        alias_localpart: request.room_alias_name,
        is_direct: request.is_direct,
        creation_content: object(request.creation_content.as_ref())?,
        initial_state: initial_state?,
        power_levels_override: object(request.power_level_content_override.as_ref())?,
    })
}

fn address_invite(invite: Invite3pid) -> AddressInvite {
    AddressInvite {
        id_server: invite.id_server,
        id_access_token: invite.id_access_token,
        medium: invite.medium.to_string(),
        address: invite.address,
    }
}

fn object<T>(raw: Option<&Raw<T>>) -> Result<Object, Error> {
    raw.map_or_else(|| Ok(Object::new()), |raw| parse_json(raw.json().get().as_bytes()))
}

//! `POST /join/{roomIdOrAlias}`.

use plexus_proto::change_membership::Action;
use plexus_service::{
    federation::membership::servers_of_query,
    rooms::{
        aliases::locate_room,
        membership::{Change, change_membership},
        third_party::bound::{PendingInvite, take_invite},
    },
};
use ruma::{
    OwnedRoomId, OwnedRoomOrAliasId, OwnedServerName, OwnedUserId, RoomId, RoomOrAliasId,
    api::client::membership::join_room_by_id_or_alias::v3::Request,
};
use serde_json::{Map, Value, json};

use crate::{
    call::Call,
    error::Error,
    extract::{
        query::Query,
        request::{parse_body, parse_path},
    },
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("join", Auth::Guest, |call| Box::pin(handle(call)));

pub(in crate::client) const TRANSACTION_ROUTE: Route =
    Route::of_transaction::<Request>("join_txn", Auth::Guest, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room: OwnedRoomOrAliasId = parse_path(&call, 0, "the room id or alias")?;
    let (room_id, via) = find_room(&call, &room).await?;
    join_room(&call, &room_id, via).await
}

/// The room that a client means, and the servers that may know it: those it names, then those that the alias does.
pub(super) async fn find_room(call: &Call, room: &RoomOrAliasId) -> Result<(OwnedRoomId, Vec<OwnedServerName>), Error> {
    let query = Query::parse(call.query())?;
    let mut via = servers_of_query(query.all("via").chain(query.all("server_name")));
    let (room_id, known) = locate_room(call.ctx(), room).await?;
    via.extend(known);
    Ok((room_id, via))
}

/// What a client says of a join that only the server says, or that is no part of the event.
const NOT_CONTENT: [&str; 4] = [
    "membership",
    "reason",
    "third_party_signed",
    "join_authorised_via_users_server",
];

/// Joins the requester to a room. What else the body has goes into the event.
pub(super) async fn join_room(call: &Call, room_id: &RoomId, via: Vec<OwnedServerName>) -> Result<Reply, Error> {
    let mut content: Map<String, Value> = parse_body(call)?;
    let reason = match content.get("reason") {
        None | Some(Value::Null) => None,
        Some(Value::String(reason)) => Some(reason.clone()),
        Some(_) => return Err(Error::bad_json("the reason is no text")),
    };
    let requester = call.requester()?;
    if let Some(signed) = content.get("third_party_signed").filter(|signed| !signed.is_null()) {
        let sender = signed["sender"]
            .as_str()
            .and_then(|sender| OwnedUserId::try_from(sender).ok());
        let invite = PendingInvite {
            room_id: room_id.to_owned(),
            sender: sender.ok_or_else(|| Error::bad_json("third_party_signed has no sender"))?,
            signed: signed.clone(),
        };
        take_invite(call.ctx(), &requester.user_id, invite).await?;
    }
    content.retain(|key, _| !NOT_CONTENT.contains(&key.as_str()));
    let change = Change {
        content,
        via,
        transaction: call.transaction.clone(),
        ..Change::new(room_id, &requester.user_id, Action::Join, reason)
    };
    change_membership(call.ctx(), requester, change).await?;
    Ok(json_reply(json!({"room_id": room_id}).to_string()))
}

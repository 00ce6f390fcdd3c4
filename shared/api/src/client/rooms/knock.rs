//! `POST /knock/{roomIdOrAlias}`.

use plexus_proto::change_membership::Action;
use plexus_service::rooms::membership::{Change, change_membership};
use ruma::{OwnedRoomOrAliasId, api::client::knock::knock_room::v3::Request};
use serde::Deserialize;
use serde_json::json;

use super::join::find_room;
use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("knock", Auth::User, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    reason: Option<String>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let room: OwnedRoomOrAliasId = parse_path(&call, 0, "the room id or alias")?;
    let Body { reason } = parse_body(&call)?;
    let (ctx, requester) = (call.ctx(), call.requester()?);
    let (room_id, via) = find_room(&call, &room).await?;
    let change = Change {
        via,
        ..Change::new(&room_id, &requester.user_id, Action::Knock, reason)
    };
    change_membership(ctx, requester, change).await?;
    Ok(json_reply(json!({"room_id": room_id}).to_string()))
}

//! `PUT /room_keys/keys/{roomId}/{sessionId}`.

use std::collections::BTreeMap;

use plexus_service::e2e::backup::{Keys, RoomKeys, put_keys};
use ruma::api::client::backup::add_backup_keys_for_session::v3::Request;

use super::backup::{BODY_CAP, path, version};
use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route {
    body_cap: BODY_CAP,
    ..Route::of::<Request>("put_backup_keys_for_session", Auth::User, |call| Box::pin(handle(call)))
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let sessions = BTreeMap::from([(path(&call, 1).to_owned(), parse_body(&call)?)]);
    let rooms = BTreeMap::from([(path(&call, 0).to_owned(), RoomKeys { sessions })]);
    let keys = Keys { rooms };
    let standing = put_keys(call.ctx(), call.requester()?, &version(&call)?, keys).await?;
    Ok(json_reply(serde_json::to_vec(&standing).map_err(Error::internal)?))
}

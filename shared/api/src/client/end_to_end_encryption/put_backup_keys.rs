//! `PUT /room_keys/keys`.

use plexus_service::e2e::backup::put_keys;
use ruma::api::client::backup::add_backup_keys::v3::Request;

use super::backup::{BODY_CAP, version};
use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route {
    body_cap: BODY_CAP,
    ..Route::of::<Request>("put_backup_keys", Auth::User, |call| Box::pin(handle(call)))
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let keys = parse_body(&call)?;
    let standing = put_keys(call.ctx(), call.requester()?, &version(&call)?, keys).await?;
    Ok(json_reply(serde_json::to_vec(&standing).map_err(Error::internal)?))
}

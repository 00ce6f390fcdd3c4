//! `DELETE /directory/room/{roomAlias}`.

use plexus_service::rooms::aliases::delete_alias;
use ruma::{OwnedRoomAliasId, api::client::alias::delete_alias::v3::Request};

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("delete_alias", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let alias: OwnedRoomAliasId = parse_path(&call, 0, "the room alias")?;
    delete_alias(call.ctx(), call.requester()?, &alias).await?;
    Ok(json_reply("{}"))
}

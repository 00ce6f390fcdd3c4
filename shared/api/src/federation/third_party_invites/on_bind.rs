//! `PUT /_matrix/federation/v1/3pid/onbind`: an identity server says that an address is a user's now, and what it was invited to.

use ::http::Method;
use plexus_service::rooms::third_party::bound::{PendingInvite, take_binding};
use ruma::OwnedUserId;
use serde::Deserialize;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

/// Identity servers have no names among servers and sign no requests: what shows that this is true is signed in each invite.
pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "third_party_on_bind",
    || Method::PUT,
    &["/_matrix/federation/v1/3pid/onbind"],
    Auth::None,
    |call| Box::pin(handle(call)),
);

#[derive(Deserialize)]
struct Body {
    mxid: OwnedUserId,
    #[serde(default)]
    invites: Vec<PendingInvite>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    take_binding(call.ctx(), &body.mxid, body.invites).await?;
    Ok(json_reply("{}"))
}

//! `PUT /presence/{userId}/status`.

use plexus_service::presence::{parse_state, set_presence};
use ruma::{OwnedUserId, api::client::presence::set_presence::v3::Request};
use serde::Deserialize;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("presence_set", Auth::User, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    presence: String,
    status_msg: Option<String>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    let body: Body = parse_body(&call)?;
    let state = parse_state(&body.presence)
        .ok_or_else(|| Error::invalid_param("presence is none of online, offline, unavailable"))?;
    set_presence(call.ctx(), call.requester()?, &user_id, state, body.status_msg).await?;
    Ok(json_reply("{}"))
}

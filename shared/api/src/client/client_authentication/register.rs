//! `POST /register`: an account, and a session in it.

use plexus_service::users::sign_up::{SignUp, sign_up, sign_up_guest};
use ruma::api::client::account::register::v3::Request;

use super::session_reply::session_reply;
use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_body},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("register", Auth::None, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: SignUp = parse_body(&call)?;
    let made = match Query::parse(call.query())?.get("kind") {
        None | Some("user") => sign_up(call.ctx(), body).await?,
        Some("guest") => sign_up_guest(call.ctx(), body).await?,
        Some(_) => return Err(Error::invalid_param("kind is neither user nor guest")),
    };
    Ok(json_reply(
        session_reply(&made.user_id, made.session.as_ref()).to_string(),
    ))
}

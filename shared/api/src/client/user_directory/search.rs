//! `POST /user_directory/search`.

use plexus_service::users::directory::search_users;
use ruma::api::client::user_directory::search_users::v3::Request;
use serde::Deserialize;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("user_directory_search", Auth::User, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    search_term: String,
    limit: Option<usize>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let found = search_users(call.ctx(), call.requester()?, &body.search_term, body.limit).await?;
    Ok(json_reply(found))
}

//! `GET /_matrix/federation/v1/query/profile`: a user's profile, for another server.

use ::http::Method;
use plexus_service::users::profiles::get_profile_for_server;
use ruma::OwnedUserId;

use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "federation_profile",
    || Method::GET,
    &["/_matrix/federation/v1/query/profile"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let query = Query::parse(call.query())?;
    let user_id = query
        .get("user_id")
        .ok_or_else(|| Error::missing_param("user_id is missing"))?;
    let user_id = OwnedUserId::try_from(user_id).map_err(|_| Error::invalid_param("user_id is not valid"))?;
    let profile = get_profile_for_server(call.ctx(), &user_id, query.get("field")).await?;
    Ok(json_reply(serde_json::to_vec(&profile).map_err(Error::internal)?))
}

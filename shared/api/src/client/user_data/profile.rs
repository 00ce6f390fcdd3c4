//! `GET /profile/{userId}`: the whole profile.

use plexus_service::users::profiles::get_profile;
use ruma::api::client::profile::get_profile::v3::Request;

use crate::{
    call::{Call, typed_raw},
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("profile", Auth::Optional, |call| Box::pin(typed_raw(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Reply, Error> {
    let profile = get_profile(call.ctx(), call.requester.as_ref(), &request.user_id).await?;
    Ok(json_reply(serde_json::to_vec(&*profile).map_err(Error::internal)?))
}

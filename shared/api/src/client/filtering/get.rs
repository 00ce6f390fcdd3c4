//! `GET /user/{userId}/filter/{filterId}`: a stored filter, as it was given.

use plexus_service::users::filters::get_filter;
use ruma::api::client::filter::get_filter::v3::Request;

use crate::{
    call::{Call, typed_raw},
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("get_filter", Auth::User, |call| Box::pin(typed_raw(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Reply, Error> {
    Ok(json_reply(
        get_filter(call.ctx(), call.requester()?, &request.user_id, &request.filter_id).await?,
    ))
}

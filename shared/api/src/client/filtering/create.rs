//! `POST /user/{userId}/filter`: stores a filter, as it is.

use plexus_core::filter::Filter;
use plexus_service::users::filters::create_filter;
use ruma::{OwnedUserId, api::client::filter::create_filter::v3::Request};
use serde_json::{json, value::RawValue};

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("create_filter", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    let filter: Box<RawValue> = parse_body(&call)?;
    Filter::parse(filter.get().as_bytes()).map_err(|error| Error::bad_json(error.to_string()))?;
    let filter_id = create_filter(call.ctx(), call.requester()?, &user_id, &filter).await?;
    Ok(json_reply(json!({"filter_id": filter_id}).to_string()))
}

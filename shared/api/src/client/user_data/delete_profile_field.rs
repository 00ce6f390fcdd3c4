//! `DELETE /profile/{userId}/{keyName}`.

use plexus_service::users::profiles::set_profile_field;
use ruma::api::client::profile::delete_profile_field::v3::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("delete_profile_field", Auth::Guest, |call| {
    Box::pin(typed(call, handle))
});

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let field = request.field.as_str();
    set_profile_field(call.ctx(), call.requester()?, &request.user_id, field, None).await?;
    Ok(Response::new())
}

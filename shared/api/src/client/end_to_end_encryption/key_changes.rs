//! `GET /keys/changes`.

use plexus_service::e2e::changes::key_changes;
use ruma::api::client::keys::get_key_changes::v3::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("key_changes", Auth::Guest, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let (changed, left) = key_changes(call.ctx(), call.requester()?, &request.from, &request.to).await?;
    Ok(Response::new(changed, left))
}

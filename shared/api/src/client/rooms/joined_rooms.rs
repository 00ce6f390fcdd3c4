//! `GET /joined_rooms`.

use plexus_service::rooms::state::list_joined_rooms;
use ruma::api::client::membership::joined_rooms::v3::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("joined_rooms", Auth::User, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, _: Request) -> Result<Response, Error> {
    Ok(Response::new(list_joined_rooms(call.ctx(), call.requester()?).await?))
}

//! `POST /logout/all`: the end of all sessions.

use plexus_service::users::sessions::log_out_everywhere;
use ruma::api::client::session::logout_all::v3::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("logout_all", Auth::User, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, _: Request) -> Result<Response, Error> {
    log_out_everywhere(call.ctx(), call.requester()?).await?;
    Ok(Response::new())
}

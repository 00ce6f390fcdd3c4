//! `POST /logout`: the end of this session.

use plexus_service::users::sessions::log_out;
use ruma::api::client::session::logout::v3::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("logout", Auth::User, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, _: Request) -> Result<Response, Error> {
    log_out(call.ctx(), call.requester()?).await?;
    Ok(Response::new())
}

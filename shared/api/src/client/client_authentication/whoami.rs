//! `GET /account/whoami`: whose token this is.

use ruma::api::client::account::whoami::v3::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("whoami", Auth::Guest, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, _: Request) -> Result<Response, Error> {
    let requester = call.requester()?;
    let mut response = Response::new(requester.user_id.clone(), requester.guest);
    response.device_id = Some(requester.device_id.clone());
    Ok(response)
}

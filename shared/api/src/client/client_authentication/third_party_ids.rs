//! `GET /account/3pid`: the addresses of an account. None can be bound here.

use ruma::api::client::account::get_3pids::v3::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("third_party_ids", Auth::User, |call| Box::pin(typed(call, handle)));

async fn handle(_: Call, _: Request) -> Result<Response, Error> {
    Ok(Response::new(Vec::new()))
}

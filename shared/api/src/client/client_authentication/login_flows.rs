//! `GET /login`: the ways to log in.

use ruma::api::client::session::get_login_types::v3::{LoginType, PasswordLoginType, Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("login_flows", Auth::None, |call| Box::pin(typed(call, handle)));

async fn handle(_: Call, _: Request) -> Result<Response, Error> {
    Ok(Response::new(vec![LoginType::Password(PasswordLoginType::new())]))
}

//! `GET /register/available`: whether a user name can be had.

use plexus_service::users::register::{check_available, choose_user_id};
use ruma::api::client::account::get_username_availability::v3::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("register_available", Auth::None, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let user_id = choose_user_id(&call.ctx().config.server_name, Some(&request.username))?;
    check_available(call.ctx(), &user_id).await?;
    Ok(Response::new(true))
}

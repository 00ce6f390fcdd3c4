//! `GET /pushrules/`: the rules that hold for everybody; nobody has rules of his own yet.

use ruma::{
    api::client::push::get_pushrules_all::v3::{Request, Response},
    push::Ruleset,
};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("push_rules", Auth::User, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, _: Request) -> Result<Response, Error> {
    Ok(Response::new(Ruleset::server_default(&call.requester()?.user_id)))
}

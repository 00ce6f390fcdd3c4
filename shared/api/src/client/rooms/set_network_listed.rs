//! `PUT` and `DELETE /directory/list/appservice/{networkId}/{roomId}`: for application services, which nobody is here.

use std::future::ready;

use ::http::Method;
use ruma::api::client::appservice::set_room_visibility::v3::Request;

use crate::{
    call::Call,
    error::Error,
    http::Reply,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("set_network_listed", Auth::User, |call| Box::pin(ready(refuse(&call))));

pub(in crate::client) const DELETE_ROUTE: Route = Route {
    method: || Method::DELETE,
    ..Route::of::<Request>("delete_network_listed", Auth::User, |call| {
        Box::pin(ready(refuse(&call)))
    })
};

fn refuse(_: &Call) -> Result<Reply, Error> {
    Err(Error::forbidden(
        "only application services list rooms of their networks",
    ))
}

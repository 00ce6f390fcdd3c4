//! `GET /_matrix/federation/v1/make_leave/{roomId}/{userId}`: what a user's leave has to refer to.

use ::http::Method;
use plexus_federation::rooms::Step;

use crate::{
    call::Call,
    error::Error,
    federation::joining_rooms::make,
    http::Reply,
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "make_leave",
    || Method::GET,
    &["/_matrix/federation/v1/make_leave/{room_id}/{user_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    make(&call, Step::Leave).await
}

//! `GET /_matrix/federation/v1/make_join/{roomId}/{userId}`: what a user's join has to refer to.

use ::http::Method;
use plexus_federation::rooms::Step;

use super::make;
use crate::{
    call::Call,
    error::Error,
    http::Reply,
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "make_join",
    || Method::GET,
    &["/_matrix/federation/v1/make_join/{room_id}/{user_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    make(&call, Step::Join).await
}

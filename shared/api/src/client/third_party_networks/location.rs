//! `GET /thirdparty/location`: what is behind an alias in other networks.

use ruma::api::client::thirdparty::get_location_for_room_alias::v3::Request;

use crate::{
    call::Call,
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("third_party_location", Auth::User, |_: Call| {
    Box::pin(async { Err(Error::not_found("the alias is of no other network")) })
});

//! `GET /thirdparty/user`: who is behind a user in other networks.

use ruma::api::client::thirdparty::get_user_for_user_id::v3::Request;

use crate::{
    call::Call,
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("third_party_user", Auth::User, |_: Call| {
    Box::pin(async { Err(Error::not_found("the user is of no other network")) })
});

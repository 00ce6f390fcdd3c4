//! `GET /thirdparty/user/{protocol}`: users of a network.

use ruma::api::client::thirdparty::get_user_for_protocol::v3::Request;

use crate::{
    call::Call,
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("third_party_user_of_protocol", Auth::User, |_: Call| {
        Box::pin(async { Err(Error::not_found("there is no such protocol")) })
    });

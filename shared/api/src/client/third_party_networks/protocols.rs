//! `GET /thirdparty/protocols`: the networks that rooms and users can be looked up in. There are none yet.

use ruma::api::client::thirdparty::get_protocols::v3::Request;

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("third_party_protocols", Auth::User, |_: Call| {
    Box::pin(async { Ok::<Reply, Error>(json_reply("{}")) })
});

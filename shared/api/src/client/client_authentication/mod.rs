//! Client authentication.

pub(super) mod change_password;
pub(super) mod deactivate;
pub(super) mod login;
pub(super) mod login_flows;
pub(super) mod login_token;
pub(super) mod logout;
pub(super) mod logout_all;
pub(super) mod refresh;
pub(super) mod register;
pub(super) mod register_available;
pub(super) mod registration_token;
mod session_reply;
pub(super) mod third_party_ids;
pub(super) mod whoami;

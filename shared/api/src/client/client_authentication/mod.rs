//! Client authentication.

pub(super) mod login;
pub(super) mod login_flows;
pub(super) mod logout;
pub(super) mod logout_all;
pub(super) mod register;
pub(super) mod register_available;
pub(super) mod whoami;

//! `OpenID`.

pub(super) mod request_token;
pub(super) mod user_info;

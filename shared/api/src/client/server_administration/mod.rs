//! The server's own administration, with the paths that tools know.

pub(super) mod register;
pub(super) mod register_nonce;

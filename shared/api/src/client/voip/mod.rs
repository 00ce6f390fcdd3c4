//! Voice over IP.

pub(super) mod turn_server;

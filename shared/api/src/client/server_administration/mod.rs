//! The server's own administration, with the paths that tools know.

pub(super) mod block_room;
pub(super) mod delete_room;
pub(super) mod destinations;
pub(super) mod is_locked;
pub(super) mod is_suspended;
pub(super) mod lock;
pub(super) mod purge_history;
pub(super) mod register;
pub(super) mod register_nonce;
pub(super) mod suspend;
pub(super) mod whois;

//! Rooms: creation and membership.

pub(super) mod ban;
pub(super) mod create;
pub(super) mod invite;
pub(super) mod join;
pub(super) mod join_by_id;
pub(super) mod joined_rooms;
pub(super) mod kick;
pub(super) mod leave;
pub(super) mod mutual;
pub(super) mod unban;

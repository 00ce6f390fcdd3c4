//! Rooms: creation, membership, aliases, the directory, spaces, upgrades.

pub(super) mod alias;
pub(super) mod aliases;
pub(super) mod ban;
pub(super) mod create;
pub(super) mod delete_alias;
pub(super) mod forget;
pub(super) mod hierarchy;
pub(super) mod invite;
pub(super) mod join;
pub(super) mod join_by_id;
pub(super) mod joined_rooms;
pub(super) mod kick;
pub(super) mod knock;
pub(super) mod leave;
pub(super) mod listed;
pub(super) mod mutual;
pub(super) mod public_rooms;
pub(super) mod set_alias;
pub(super) mod set_listed;
pub(super) mod set_network_listed;
pub(super) mod summary;
pub(super) mod unban;
pub(super) mod upgrade;

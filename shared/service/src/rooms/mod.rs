//! Rooms: making them, being in them, sending to them, reading them.

pub mod access;
pub mod aggregate;
pub mod aliases;
pub mod context;
pub mod create;
pub mod directory;
pub mod event;
pub mod hierarchy;
pub mod membership;
pub mod messages;
pub mod mutual;
mod page;
mod partial;
pub mod present;
pub mod receipts;
pub mod relations;
pub mod removals;
pub mod send;
mod standing;
pub mod state;
pub mod summary;
pub mod third_party;
pub mod threads;
pub mod timestamp;
pub mod typing;
pub mod upgrade;

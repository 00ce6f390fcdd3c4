//! Rooms: making them, being in them, sending to them, reading them.

pub mod access;
pub mod aliases;
pub mod create;
pub mod directory;
pub mod event;
pub mod hierarchy;
pub mod membership;
pub mod messages;
pub mod receipts;
pub mod send;
mod standing;
pub mod state;
pub mod summary;
pub mod typing;
pub mod upgrade;

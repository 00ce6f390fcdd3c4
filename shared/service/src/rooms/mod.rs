//! Rooms: making them, being in them, sending to them, reading them.

pub mod access;
pub mod aggregate;
pub mod context;
pub mod create;
pub mod event;
pub mod membership;
pub mod messages;
mod page;
pub mod present;
pub mod receipts;
pub mod relations;
pub mod send;
pub mod state;
pub mod threads;
pub mod timestamp;
pub mod typing;

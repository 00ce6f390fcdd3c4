//! Rooms: making them, being in them, sending to them, reading them.

pub mod access;
pub mod create;
pub mod event;
pub mod membership;
pub mod messages;
pub mod mutual;
pub mod receipts;
pub mod send;
pub mod state;
pub mod typing;

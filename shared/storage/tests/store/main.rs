//! The tables and the store in front of them, on both engines.

mod events;
mod plans;
mod sessions;
mod state;
mod support;
mod tables;
mod views;

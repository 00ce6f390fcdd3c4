//! The tables and the store in front of them, on both engines.

#![expect(
    clippy::unwrap_used,
    reason = "a read that fails here has nobody to report to but the test's output"
)]

mod account_data;
mod delivery;
mod events;
mod federation;
mod finding;
mod model;
mod plans;
mod relations;
mod rooms;
mod sessions;
mod state;
mod support;
mod tables;
mod tickets;
mod views;

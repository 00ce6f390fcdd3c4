//! Syncs of devices against a real store and replica.

mod ephemeral;
mod filters;
mod keys;
mod lazy;
mod leaving;
mod reading;
mod timelines;
mod tokens;
mod user_data;
mod waiting;
mod world;

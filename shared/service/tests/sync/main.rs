//! Syncs of devices against a real store and replica.

mod ephemeral;
mod filters;
mod lazy;
mod leaving;
mod timelines;
mod tokens;
mod waiting;
mod world;

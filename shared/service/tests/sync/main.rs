//! Syncs of devices against a real store and replica.

mod ephemeral;
mod filters;
mod keys;
mod large;
mod lazy;
mod leaving;
mod legacy;
mod reading;
mod shapes;
mod summaries;
mod timelines;
mod tokens;
mod user_data;
mod waiting;
mod world;

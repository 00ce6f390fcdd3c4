//! Syncs of devices against a real store and replica.

mod ephemeral;
mod filters;
mod large;
mod lazy;
mod leaving;
mod legacy;
mod reading;
mod shapes;
mod summaries;
mod timelines;
mod tokens;
mod waiting;
mod world;

//! Telling people of events: pushers.

pub mod pushers;

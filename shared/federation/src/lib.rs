//! What this server says to the world outside.
//!
//! Every request to an address that somebody else chose goes through [`outbound::Client`]: there is no other HTTP client in the house.

pub mod outbound;

//! Accounts, sessions and profiles.

pub mod admin_register;
pub mod filters;
pub mod login;
pub mod passwords;
pub mod profiles;
pub mod register;
pub mod sessions;
pub mod sightings;
mod tickets;
pub mod uia;

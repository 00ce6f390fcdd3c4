//! Accounts, sessions and profiles.

pub mod accounts;
pub mod admin_register;
pub mod devices;
pub mod filters;
pub mod login;
pub mod open_id;
pub mod passwords;
pub mod profiles;
pub mod register;
pub mod sessions;
pub mod sightings;
pub mod sign_up;
mod tickets;
pub mod turn;
pub mod uia;

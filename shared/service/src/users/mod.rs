//! Accounts, sessions, profiles, and what users keep for themselves.

pub mod account_data;
pub mod accounts;
pub mod admin_register;
pub(crate) mod carry_over;
pub mod devices;
pub mod directory;
pub mod filters;
pub mod ignored;
pub mod login;
pub mod open_id;
pub mod passwords;
pub mod profiles;
pub mod register;
pub mod sessions;
pub mod sightings;
pub mod sign_up;
pub mod tags;
mod tickets;
pub mod turn;
pub mod uia;

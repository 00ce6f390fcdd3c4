//! What the database holds, with caches in front: all SQL, and nothing but SQL and caches.
//!
//! One file for each table: how its rows are written ([`Statement`](db::Statement)s, which the master puts together into change sets; free tables are
//! written here) and how they are read. [`Store`] is where readers come in.

pub mod access_tokens;
pub mod accounts;
mod cache;
mod changes;
pub mod commands;
pub mod db;
pub mod devices;
mod error;
pub mod events;
pub mod facts;
mod filters;
pub mod leases;
pub mod log;
pub mod media;
pub mod memberships;
pub mod metrics;
pub mod nids;
pub mod processes;
pub mod profiles;
pub mod receipts;
pub mod room_heads;
pub mod rooms;
mod sql;
pub mod state_keys;
pub mod state_nodes;
mod store;
pub mod tasks;
pub mod thumbnails;
pub mod timeline;
mod typing;
pub mod users;

pub use self::{cache::CacheUse, error::StoreError, store::Store, typing::TypingUsers};

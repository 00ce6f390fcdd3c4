//! What the database holds, with caches in front: all SQL, and nothing but SQL and caches.
//!
//! One file for each table: how its rows are written ([`Statement`](db::Statement)s, which the master puts together into change sets; free tables are
//! written here) and how they are read. [`Store`] is where readers come in.

pub mod access_tokens;
pub mod accounts;
mod cache;
mod changes;
pub mod commands;
pub mod cross_signing_keys;
pub mod db;
pub mod derived;
pub mod device_keys;
pub mod device_list_changes;
pub mod device_sightings;
pub mod devices;
mod error;
pub mod events;
pub mod facts;
pub mod fallback_keys;
mod filters;
pub mod forgotten_rooms;
pub mod key_backup_sessions;
pub mod key_backups;
pub mod key_counts;
pub mod key_signatures;
pub mod leases;
pub mod log;
pub mod member_changes;
mod memberless;
pub mod memberships;
pub mod metrics;
pub mod nids;
pub mod one_time_keys;
mod presence;
pub mod processes;
pub mod profiles;
pub mod pushers;
pub mod receipts;
mod recent;
pub mod refresh_tokens;
pub mod relations;
pub mod reports;
pub mod room_aliases;
pub mod room_directory;
pub mod room_heads;
pub mod rooms;
pub mod search;
mod sql;
pub mod state_keys;
pub mod state_nodes;
mod store;
mod summaries;
pub mod tasks;
pub mod tickets;
pub mod timeline;
pub mod to_device;
mod typing;
pub mod user_directory;
pub mod users;

pub use self::cache::CacheUse;
pub use self::error::StoreError;
pub use self::memberless::MemberlessState;
pub use self::presence::StoredPresence;
pub use self::store::Store;
pub use self::summaries::RoomSummary;
pub use self::typing::TypingUsers;

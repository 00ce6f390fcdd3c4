//! What the tests of several crates share: databases to throw away, rooms with a forked history, and doubles of other servers.
//!
//! It knows how to make empty, migrated databases on both engines, and nothing of what is put into them; and how to make events that are valid in all they
//! are, or in all but one thing.

mod authority;
mod cluster;
pub mod dag;
mod database;
mod remote;

pub use self::{
    authority::{Authority, Issued},
    cluster::{Cluster, ClusterOptions},
    database::{TestDatabase, databases, postgres_database, sqlite_database},
    remote::{Received, Remote, Script},
};

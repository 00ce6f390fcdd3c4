//! What the tests of several crates share: databases to throw away, and doubles of other servers.
//!
//! It knows how to make empty, migrated databases on both engines, and nothing of what is put into them.

mod authority;
mod cluster;
mod database;
mod remote;

pub use self::{
    authority::{Authority, Issued},
    cluster::{Cluster, ClusterOptions},
    database::{TestDatabase, databases, postgres_database, sqlite_database},
    remote::{Received, Remote, Script},
};

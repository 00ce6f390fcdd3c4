//! What the tests of several crates share: databases to throw away.
//!
//! It knows how to make empty, migrated databases on both engines, and nothing of what is put into them.

mod cluster;
mod database;

pub use self::{
    cluster::{Cluster, ClusterOptions},
    database::{TestDatabase, databases, postgres_database, sqlite_database},
};

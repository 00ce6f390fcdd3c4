//! What the tests of several crates share: databases to throw away, and rooms with a forked history.
//!
//! It knows how to make empty, migrated databases on both engines, and nothing of what is put into them; and how to make events that are valid in all they
//! are, or in all but one thing.

mod cluster;
pub mod dag;
mod database;

pub use self::{
    cluster::{Cluster, ClusterOptions},
    database::{TestDatabase, databases, postgres_database, sqlite_database},
};

//! Names of what this crate measures.

/// Time spent in the database, by the name of the statement.
pub const DB_SECONDS: &str = "plexus_db_seconds";
/// How many jobs one commit of the embedded engine carried.
pub const DB_GROUP_JOBS: &str = "plexus_db_group_jobs";

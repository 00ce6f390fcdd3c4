//! Names of what this crate measures.

/// Signed requests to other servers, by how they ended: `answered`, `refused`, `failed`.
pub const REQUESTS_TOTAL: &str = "plexus_federation_requests_total";
/// Requests of other servers, by whether they were believed: `yes`, `no`.
pub const AUTHENTICATED_TOTAL: &str = "plexus_federation_authenticated_total";
/// Fetches of a server's keys, by whether anything was heard: `yes`, `no`.
pub const KEY_FETCHES_TOTAL: &str = "plexus_federation_key_fetches_total";
/// Events in answers of other servers that were not believed, or were of another room.
pub const UNBELIEVED_TOTAL: &str = "plexus_federation_unbelieved_total";

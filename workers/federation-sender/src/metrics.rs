//! Names of what this crate measures.

/// Transactions to other servers, by how they ended: `taken`, `refused`, `failed`.
pub(crate) const TRANSACTIONS_TOTAL: &str = "plexus_federation_transactions_total";
/// Events that other servers have taken, one for each server.
pub(crate) const PDUS_SENT_TOTAL: &str = "plexus_federation_pdus_sent_total";
/// EDUs that other servers have taken, one for each server.
pub(crate) const EDUS_SENT_TOTAL: &str = "plexus_federation_edus_sent_total";
/// Events that wait for other servers, one for each server; what waits for servers that lag is not counted.
pub(crate) const QUEUED_PDUS: &str = "plexus_federation_queued_pdus";
/// EDUs that wait for other servers.
pub(crate) const QUEUED_EDUS: &str = "plexus_federation_queued_edus";
/// Servers that are being sent to.
pub(crate) const BUSY_DESTINATIONS: &str = "plexus_federation_busy_destinations";
/// Servers that do not take what they are sent.
pub(crate) const LAGGING_DESTINATIONS: &str = "plexus_federation_lagging_destinations";
/// How many rows of the log the slowest server that does not lag is behind.
pub(crate) const DELIVERY_LAG: &str = "plexus_federation_delivery_lag_rows";

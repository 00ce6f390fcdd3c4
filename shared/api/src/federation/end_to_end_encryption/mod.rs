//! End-to-end encryption: keys of this server's users.

pub(super) mod claim_keys;
pub(super) mod query_keys;

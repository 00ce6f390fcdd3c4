//! End-to-end encryption: keys of devices and users, and backups of room keys.

mod backup;
pub(super) mod claim_keys;
pub(super) mod create_backup_version;
pub(super) mod delete_backup_keys;
pub(super) mod delete_backup_keys_for_room;
pub(super) mod delete_backup_keys_for_session;
pub(super) mod delete_backup_version;
pub(super) mod get_backup_keys;
pub(super) mod get_backup_keys_for_room;
pub(super) mod get_backup_keys_for_session;
pub(super) mod get_backup_version;
pub(super) mod get_latest_backup_version;
pub(super) mod key_changes;
pub(super) mod put_backup_keys;
pub(super) mod put_backup_keys_for_room;
pub(super) mod put_backup_keys_for_session;
pub(super) mod query_keys;
pub(super) mod update_backup_version;
pub(super) mod upload_keys;
pub(super) mod upload_signatures;
pub(super) mod upload_signing_keys;

use std::time::Duration;

use plexus_service::federation::keys::WAIT_DEFAULT;

/// How long other servers are waited for: what the client says, in milliseconds. Behaviour has a bound of its own.
fn wait(timeout_ms: Option<u64>) -> Duration {
    timeout_ms.map_or(WAIT_DEFAULT, Duration::from_millis)
}

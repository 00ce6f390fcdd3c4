//! Table `key_signatures`: signatures of devices and cross-signing keys that were uploaded by themselves.

use plexus_core::ids::UserNid;
use ruma::DeviceId;

use crate::{
    Store, StoreError,
    db::{Statement, Value},
    sql::{Int as _, one_row, statement, text},
};

/// Most signatures that are read for one batch of users.
const SIGNATURES_MAX: i64 = 100_000;

/// A signature of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySignature {
    /// Whose key is signed.
    pub target_user: UserNid,
    /// The device, or the public key, that is signed.
    pub target: String,
    /// Who has signed.
    pub signer: UserNid,
    /// With which key, `ed25519:...`.
    pub key_id: String,
    /// The signature, in base64.
    pub signature: String,
}

/// Adds a signature, in place of an older one of the same key.
pub fn upsert(signature: &KeySignature) -> Statement {
    one_row(
        "-- key_signatures::upsert
        INSERT INTO key_signatures (target_nid, target, signer_nid, key_id, signature) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (target_nid, target, signer_nid, key_id) DO UPDATE SET signature = excluded.signature",
        [
            signature.target_user.int(),
            text(&signature.target),
            signature.signer.int(),
            text(&signature.key_id),
            text(&signature.signature),
        ],
    )
}

/// Removes all signatures of a device or cross-signing key: it is gone, or another.
pub fn delete_of_target(user: UserNid, target: &str) -> Statement {
    statement(
        "-- key_signatures::delete_of_target
        DELETE FROM key_signatures WHERE target_nid = $1 AND target = $2",
        [user.int(), text(target)],
    )
}

/// Removes all signatures a device made: it is gone.
pub fn delete_by_device(user: UserNid, device_id: &DeviceId) -> Statement {
    delete_by_key(user, &format!("ed25519:{device_id}"))
}

/// Removes all signatures that were made with a key: it is another now.
pub fn delete_by_key(signer: UserNid, key_id: &str) -> Statement {
    statement(
        "-- key_signatures::delete_by_key
        DELETE FROM key_signatures WHERE signer_nid = $1 AND key_id = $2",
        [signer.int(), text(key_id)],
    )
}

impl Store {
    /// The signatures of some users' keys that `viewer` may see: those the users made themselves, and his own.
    pub async fn key_signatures(&self, users: &[UserNid], viewer: UserNid) -> Result<Vec<KeySignature>, StoreError> {
        let sql = "-- key_signatures::key_signatures
            SELECT target_nid, target, signer_nid, key_id, signature FROM key_signatures
            WHERE target_nid = ANY($1) AND (signer_nid = target_nid OR signer_nid = $2) LIMIT $3";
        let users = Value::Ints(users.iter().map(|user| user.0).collect());
        let rows = self
            .db()
            .query(sql, &[users, viewer.int(), SIGNATURES_MAX.int()])
            .await?;
        rows.iter()
            .map(|row| {
                Ok(KeySignature {
                    target_user: UserNid(row.int(0)?),
                    target: row.text(1)?.to_owned(),
                    signer: UserNid(row.int(2)?),
                    key_id: row.text(3)?.to_owned(),
                    signature: row.text(4)?.to_owned(),
                })
            })
            .collect()
    }
}

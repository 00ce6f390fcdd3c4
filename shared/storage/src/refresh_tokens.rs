//! Table `refresh_tokens`: what gets a device its next access token. Only hashes are stored.

use plexus_core::ids::UserNid;
use ruma::{DeviceId, OwnedDeviceId};

use crate::{
    Store, StoreError,
    access_tokens::TokenHash,
    db::Statement,
    sql::{Int as _, bytes, one_row, statement, text},
};

/// A refresh token, and what was given with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// SHA-256 of the token.
    pub token_hash: TokenHash,
    /// Whose it is.
    pub user: UserNid,
    /// The device it was given to.
    pub device_id: OwnedDeviceId,
    /// SHA-256 of the access token that was given with it.
    pub access_hash: TokenHash,
}

/// Gives a device a refresh token.
pub fn insert(token: &RefreshToken, created_ms: i64) -> Statement {
    one_row(
        "-- refresh_tokens::insert
        INSERT INTO refresh_tokens (token_hash, user_nid, device_id, access_hash, created_ms) VALUES ($1, $2, $3, $4, $5)",
        [
            bytes(&token.token_hash),
            token.user.int(),
            text(token.device_id.as_str()),
            bytes(&token.access_hash),
            created_ms.int(),
        ],
    )
}

/// Removes the refresh tokens of a device.
pub fn delete_of_device(user: UserNid, device_id: &DeviceId) -> Statement {
    statement(
        "-- refresh_tokens::delete_of_device
        DELETE FROM refresh_tokens WHERE user_nid = $1 AND device_id = $2",
        [user.int(), text(device_id.as_str())],
    )
}

/// Removes the refresh tokens of a device but for the one that was given with an access token.
pub fn delete_others(user: UserNid, device_id: &DeviceId, kept_access_hash: &TokenHash) -> Statement {
    statement(
        "-- refresh_tokens::delete_others
        DELETE FROM refresh_tokens WHERE user_nid = $1 AND device_id = $2 AND access_hash <> $3",
        [user.int(), text(device_id.as_str()), bytes(kept_access_hash)],
    )
}

impl Store {
    /// A refresh token that is still good.
    pub async fn refresh_token(&self, token_hash: &TokenHash) -> Result<Option<RefreshToken>, StoreError> {
        let sql = "-- refresh_tokens::refresh_token
            SELECT user_nid, device_id, access_hash FROM refresh_tokens WHERE token_hash = $1";
        let Some(row) = self.db().query_opt(sql, &[bytes(token_hash)]).await? else {
            return Ok(None);
        };
        let access_hash = TokenHash::try_from(&*row.bytes(2)?)
            .map_err(|_| StoreError::corrupt("refresh_tokens", "a hash that is not 32 bytes".to_owned()))?;
        Ok(Some(RefreshToken {
            token_hash: *token_hash,
            user: UserNid(row.int(0)?),
            device_id: row.text(1)?.into(),
            access_hash,
        }))
    }
}

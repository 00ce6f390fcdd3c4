//! Table `cross_signing_keys`: the keys with which users sign their devices and each other, as they were given. Of users of other servers those that their
//! devices are kept of too.

use bytes::Bytes;
use plexus_core::ids::UserNid;

use crate::{
    Store, StoreError,
    db::{DbRow, Statement, Value},
    sql::{Int as _, bytes, one_row, statement, text},
};

/// What a cross-signing key is for. The discriminants are what the database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Usage {
    /// Signs the other two.
    Master = 1,
    /// Signs the user's own devices.
    SelfSigning = 2,
    /// Signs other users' master keys. Nobody else sees it.
    UserSigning = 3,
}

impl Usage {
    /// Every use.
    pub const ALL: [Self; 3] = [Self::Master, Self::SelfSigning, Self::UserSigning];

    /// The number the database holds.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// Reads the number the database holds.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|usage| usage.code() == code)
    }

    /// The word in a key's `usage`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::SelfSigning => "self_signing",
            Self::UserSigning => "user_signing",
        }
    }
}

/// A cross-signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossSigningKey {
    /// Whose.
    pub user: UserNid,
    /// What for.
    pub usage: Usage,
    /// The public key, in base64.
    pub key_id: String,
    /// The key as it was uploaded.
    pub json: Bytes,
}

/// Sets a user's key of its use.
pub fn upsert(key: &CrossSigningKey) -> Statement {
    one_row(
        "-- cross_signing_keys::upsert
        INSERT INTO cross_signing_keys (user_nid, usage, key_id, json) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_nid, usage) DO UPDATE SET key_id = excluded.key_id, json = excluded.json",
        [
            key.user.int(),
            key.usage.code().int(),
            text(&key.key_id),
            bytes(&key.json),
        ],
    )
}

/// Takes a user's key of its use away, if there is one.
pub fn delete(user: UserNid, usage: Usage) -> Statement {
    statement(
        "-- cross_signing_keys::delete
        DELETE FROM cross_signing_keys WHERE user_nid = $1 AND usage = $2",
        [user.int(), usage.code().int()],
    )
}

impl Store {
    /// The keys of some users, by user and use.
    pub async fn cross_signing_keys(&self, users: &[UserNid]) -> Result<Vec<CrossSigningKey>, StoreError> {
        let sql = "-- cross_signing_keys::cross_signing_keys
            SELECT user_nid, usage, key_id, json FROM cross_signing_keys WHERE user_nid = ANY($1) ORDER BY user_nid, usage";
        let users = Value::Ints(users.iter().map(|user| user.0).collect());
        self.db().query(sql, &[users]).await?.iter().map(read).collect()
    }
}

fn read(row: &DbRow) -> Result<CrossSigningKey, StoreError> {
    let code = row.int(1)?;
    let usage = Usage::from_code(code);
    Ok(CrossSigningKey {
        user: UserNid(row.int(0)?),
        usage: usage.ok_or_else(|| StoreError::corrupt("cross_signing_keys", format!("usage {code}")))?,
        key_id: row.text(2)?.to_owned(),
        json: row.bytes(3)?,
    })
}

//! Tables `server_keys` and `old_signing_keys`: the keys of other servers as far as they are known, and this server's own earlier ones. Free.

use bytes::Bytes;
use ruma::{OwnedServerName, ServerName};

use crate::{
    Store, StoreError,
    db::{Database, DbRow, Value},
    facts,
    sql::{Int as _, bytes, opt_int, statement, text},
};

/// Most keys of one server that are kept: whoever publishes more is up to something.
pub const KEYS_PER_SERVER_MAX: i64 = 200;
/// Most earlier keys of this server that are published.
pub const OLD_KEYS_MAX: i64 = 100;

/// A key of another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerKey {
    /// Whose it is.
    pub server: OwnedServerName,
    /// `ed25519:` and its version.
    pub key_id: String,
    /// The public key, in unpadded base64.
    pub verify_key: String,
    /// Until when its server vouched for it.
    pub valid_until_ms: i64,
    /// Since when its server does not sign with it any more.
    pub expired_ms: Option<i64>,
    /// When this was heard.
    pub fetched_ms: i64,
    /// The document that says so, canonical JSON.
    pub document: Bytes,
}

/// Who gave us a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The server itself.
    Origin,
    /// Another server, which may know less than we do.
    Notary,
}

/// A key that this server signed with earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldKey {
    /// `ed25519:` and its version.
    pub key_id: String,
    /// The public key, in unpadded base64.
    pub verify_key: String,
    /// Since when it is not used any more.
    pub expired_ms: i64,
}

impl Store {
    /// What is known of some keys of a server.
    pub async fn server_keys(&self, server: &ServerName) -> Result<Vec<ServerKey>, StoreError> {
        let sql = "-- server_keys::server_keys
            SELECT server_name, key_id, verify_key, valid_until_ms, expired_ms, fetched_ms, document
            FROM server_keys WHERE server_name = $1 ORDER BY key_id LIMIT $2";
        let rows = self
            .db()
            .query(sql, &[text(server.as_str()), KEYS_PER_SERVER_MAX.int()])
            .await?;
        rows.iter().map(read).collect()
    }

    /// What is known of one key of a server.
    pub async fn server_key(&self, server: &ServerName, key_id: &str) -> Result<Option<ServerKey>, StoreError> {
        let sql = "-- server_keys::server_key
            SELECT server_name, key_id, verify_key, valid_until_ms, expired_ms, fetched_ms, document
            FROM server_keys WHERE server_name = $1 AND key_id = $2";
        let row = self.db().query_opt(sql, &[text(server.as_str()), text(key_id)]).await?;
        row.as_ref().map(read).transpose()
    }

    /// Keeps keys as a document has them.
    ///
    /// A notary's document that is older than what is known changes nothing, and none of a notary's brings back a key that its server has retired. A key that its server vouches for stays what it is: only once that is over
    /// can its id mean another key, and only the server itself can say so.
    pub async fn upsert_server_keys(
        &self,
        keys: &[ServerKey],
        source: KeySource,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let sql = "-- server_keys::upsert
            INSERT INTO server_keys (server_name, key_id, verify_key, valid_until_ms, expired_ms, fetched_ms, document)
            SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($5 AS BIGINT), CAST($6 AS BIGINT), CAST($7 AS BYTEA)
            WHERE (SELECT count(*) FROM server_keys WHERE server_name = $1 AND key_id <> $2) < CAST($8 AS BIGINT)
            ON CONFLICT (server_name, key_id) DO UPDATE SET verify_key = excluded.verify_key, valid_until_ms = excluded.valid_until_ms,
                expired_ms = excluded.expired_ms, fetched_ms = excluded.fetched_ms, document = excluded.document
            WHERE (server_keys.verify_key = excluded.verify_key AND (CAST($9 AS BOOLEAN) OR (server_keys.valid_until_ms <= excluded.valid_until_ms
                    AND (server_keys.expired_ms IS NULL OR excluded.expired_ms IS NOT NULL))))
                OR (CAST($9 AS BOOLEAN) AND server_keys.valid_until_ms < CAST($10 AS BIGINT))";
        let statements = keys.iter().map(|key| {
            let params = [
                text(key.server.as_str()),
                text(&key.key_id),
                text(&key.verify_key),
                key.valid_until_ms.int(),
                opt_int(key.expired_ms),
                key.fetched_ms.int(),
                bytes(&key.document),
                KEYS_PER_SERVER_MAX.int(),
                Value::Bool(source == KeySource::Origin),
                now_ms.int(),
            ];
            statement(sql, params)
        });
        self.db().transaction(statements.collect()).await?;
        Ok(())
    }

    /// This server's earlier keys.
    pub async fn old_signing_keys(&self) -> Result<Vec<OldKey>, StoreError> {
        old_signing_keys(self.db()).await
    }
}

/// This server's earlier keys, the latest first.
pub async fn old_signing_keys(db: &Database) -> Result<Vec<OldKey>, StoreError> {
    let sql = "-- server_keys::old_signing_keys
        SELECT key_id, verify_key, expired_ms FROM old_signing_keys ORDER BY expired_ms DESC, key_id LIMIT $1";
    let rows = db.query(sql, &[OLD_KEYS_MAX.int()]).await?;
    let read = |row: &DbRow| {
        Ok(OldKey {
            key_id: row.text(0)?.to_owned(),
            verify_key: row.text(1)?.to_owned(),
            expired_ms: row.int(2)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Changes the key that this server signs with: the fact that names it, and the old one's row, both or neither. False if `from` is not the key in use.
pub async fn rotate_signing_key(db: &Database, old: &OldKey, from: &str, to: &str) -> Result<bool, StoreError> {
    let insert = "-- server_keys::retire
        INSERT INTO old_signing_keys (key_id, verify_key, expired_ms)
        SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT)
        WHERE EXISTS (SELECT 1 FROM facts WHERE name = $4 AND value = $5)
        ON CONFLICT (key_id) DO NOTHING";
    let params = [
        text(&old.key_id),
        text(&old.verify_key),
        old.expired_ms.int(),
        text(facts::SIGNING_KEY),
        text(from),
    ];
    let update = "-- server_keys::rotate
        UPDATE facts SET value = $3 WHERE name = $1 AND value = $2";
    let fact = [text(facts::SIGNING_KEY), text(from), text(to)];
    let rows = db
        .transaction(vec![statement(insert, params), statement(update, fact)])
        .await?;
    Ok(rows.last() == Some(&1))
}

fn read(row: &DbRow) -> Result<ServerKey, StoreError> {
    let server = row.text(0)?;
    Ok(ServerKey {
        server: OwnedServerName::try_from(server)
            .map_err(|_| StoreError::corrupt("server_keys", "a server name that is none"))?,
        key_id: row.text(1)?.to_owned(),
        verify_key: row.text(2)?.to_owned(),
        valid_until_ms: row.int(3)?,
        expired_ms: row.opt_int(4)?,
        fetched_ms: row.int(5)?,
        document: row.bytes(6)?,
    })
}

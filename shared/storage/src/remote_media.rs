//! Tables `remote_media` and `remote_media_usage`: what is kept of other servers' files. Free.
//!
//! It is a cache: a row may go at any time, and a row whose file is gone is as good as none.

use crate::{
    Store, StoreError,
    db::{DbRow, Statement, Value},
    media::MediaContent,
    sql::{Int as _, bytes, opt_text, statement, text},
};

/// Which file of which server, and of it the file itself or a thumbnail.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteMediaKey {
    /// The server.
    pub server_name: String,
    /// The file's id there.
    pub media_id: String,
    /// Empty for the file itself; which thumbnail otherwise.
    pub variant: String,
}

/// A file of another server that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteMedia {
    /// The file.
    pub content: MediaContent,
    /// Whether its server gives it to anybody.
    pub is_open: bool,
    /// When it was last asked for, to within an hour.
    pub last_access_ms: i64,
}

impl Store {
    /// What is kept of a file.
    pub async fn remote_media(&self, key: &RemoteMediaKey) -> Result<Option<RemoteMedia>, StoreError> {
        let sql = "-- remote_media::remote_media
            SELECT hash, size_bytes, content_type, file_name, is_open, last_access_ms
            FROM remote_media WHERE server_name = $1 AND media_id = $2 AND variant = $3";
        let row = self.db().query_opt(sql, &key_params(key)).await?;
        row.as_ref().map(read).transpose()
    }

    /// Keeps a file, in place of what was kept of it.
    pub async fn put_remote_media(&self, key: &RemoteMediaKey, media: &RemoteMedia) -> Result<(), StoreError> {
        let insert = "-- remote_media::insert
            INSERT INTO remote_media (server_name, media_id, variant, hash, size_bytes, content_type, file_name, is_open, last_access_ms)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (server_name, media_id, variant) DO UPDATE SET hash = excluded.hash, size_bytes = excluded.size_bytes,
                content_type = excluded.content_type, file_name = excluded.file_name, is_open = excluded.is_open,
                last_access_ms = excluded.last_access_ms";
        let [server_name, media_id, variant] = key_params(key);
        let size = i64::try_from(media.content.size).unwrap_or(i64::MAX);
        let params = [
            server_name,
            media_id,
            variant,
            bytes(&media.content.hash),
            size.int(),
            text(&media.content.content_type),
            opt_text(media.content.file_name.as_deref()),
            Value::Bool(media.is_open),
            media.last_access_ms.int(),
        ];
        let statements = vec![uncount(key), count(size), statement(insert, params)];
        self.db().transaction(statements).await?;
        Ok(())
    }

    /// Notes that a file was asked for.
    pub async fn touch_remote_media(&self, key: &RemoteMediaKey, now_ms: i64) -> Result<(), StoreError> {
        let sql = "-- remote_media::touch
            UPDATE remote_media SET last_access_ms = $4
            WHERE server_name = $1 AND media_id = $2 AND variant = $3 AND last_access_ms < $4";
        let [server_name, media_id, variant] = key_params(key);
        let params = [server_name, media_id, variant, now_ms.int()];
        self.db().execute(statement(sql, params)).await?;
        Ok(())
    }

    /// Forgets a file.
    pub async fn delete_remote_media(&self, key: &RemoteMediaKey) -> Result<(), StoreError> {
        let delete = "-- remote_media::delete
            DELETE FROM remote_media WHERE server_name = $1 AND media_id = $2 AND variant = $3";
        let statements = vec![uncount(key), statement(delete, key_params(key))];
        self.db().transaction(statements).await?;
        Ok(())
    }

    /// How many bytes all files have that are kept.
    pub async fn remote_media_bytes(&self) -> Result<u64, StoreError> {
        let sql = "-- remote_media::bytes
            SELECT size_bytes FROM remote_media_usage WHERE id = 1";
        let row = self.db().query_opt(sql, &[]).await?;
        let bytes = row.map(|row| row.int(0)).transpose()?.unwrap_or_default();
        Ok(bytes.try_into().unwrap_or_default())
    }

    /// The files that were not asked for for longest, with their hashes, at most `limit`.
    pub async fn oldest_remote_media(&self, limit: i64) -> Result<Vec<(RemoteMediaKey, [u8; 32])>, StoreError> {
        let sql = "-- remote_media::oldest
            SELECT server_name, media_id, variant, hash FROM remote_media ORDER BY last_access_ms LIMIT $1";
        let rows = self.db().query(sql, &[limit.int()]).await?;
        let read = |row: &DbRow| {
            let key = RemoteMediaKey {
                server_name: row.text(0)?.to_owned(),
                media_id: row.text(1)?.to_owned(),
                variant: row.text(2)?.to_owned(),
            };
            Ok((key, read_hash(&row.bytes(3)?)?))
        };
        rows.iter().map(read).collect()
    }

    /// Whether anything that is kept has this content.
    pub async fn is_remote_content_kept(&self, hash: [u8; 32]) -> Result<bool, StoreError> {
        let sql = "-- remote_media::is_content_kept
            SELECT 1 FROM remote_media WHERE hash = $1 LIMIT 1";
        Ok(self.db().query_opt(sql, &[bytes(&hash)]).await?.is_some())
    }
}

/// Takes a file that is about to go from the count.
fn uncount(key: &RemoteMediaKey) -> Statement {
    statement(
        "-- remote_media::uncount
        UPDATE remote_media_usage SET size_bytes = size_bytes - COALESCE(
            (SELECT size_bytes FROM remote_media WHERE server_name = $1 AND media_id = $2 AND variant = $3), 0) WHERE id = 1",
        key_params(key),
    )
}

fn count(bytes: i64) -> Statement {
    statement(
        "-- remote_media::count
        UPDATE remote_media_usage SET size_bytes = size_bytes + $1 WHERE id = 1",
        [bytes.int()],
    )
}

fn key_params(key: &RemoteMediaKey) -> [Value; 3] {
    [text(&key.server_name), text(&key.media_id), text(&key.variant)]
}

fn read_hash(column: &[u8]) -> Result<[u8; 32], StoreError> {
    let hash = column.try_into();
    hash.map_err(|_| StoreError::corrupt("remote_media", "a hash of another length"))
}

fn read(row: &DbRow) -> Result<RemoteMedia, StoreError> {
    Ok(RemoteMedia {
        content: MediaContent {
            hash: read_hash(&row.bytes(0)?)?,
            size: row.int(1)?.try_into().unwrap_or_default(),
            content_type: row.text(2)?.to_owned(),
            file_name: row.opt_text(3)?.map(str::to_owned),
        },
        is_open: row.bool(4)?,
        last_access_ms: row.int(5)?,
    })
}

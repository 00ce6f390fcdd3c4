//! Table `thumbnails`: which file is the thumbnail of which other one, at a size. Free. Immutable once stored.

use crate::{
    Store, StoreError,
    db::Value,
    sql::{Int as _, bytes, statement, text},
};

/// What a thumbnail is made of, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThumbnailKey {
    /// The SHA-256 of the picture.
    pub hash: [u8; 32],
    /// The width it has to fit.
    pub width: u32,
    /// The height it has to fit.
    pub height: u32,
    /// Whether it fills that size, or lies inside.
    pub crop: bool,
    /// Whether it may move.
    pub animated: bool,
}

/// A thumbnail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// The SHA-256 of the file, under which it is kept.
    pub hash: [u8; 32],
    /// Its length in bytes.
    pub size: u64,
    /// What it is.
    pub content_type: String,
}

impl Store {
    /// A thumbnail that has been made.
    pub async fn thumbnail(&self, key: ThumbnailKey) -> Result<Option<Thumbnail>, StoreError> {
        let sql = "-- thumbnails::thumbnail
            SELECT thumbnail_hash, size_bytes, content_type FROM thumbnails
            WHERE hash = $1 AND width = $2 AND height = $3 AND crop = $4 AND animated = $5";
        let Some(row) = self.db().query_opt(sql, &params(key)).await? else {
            return Ok(None);
        };
        let hash = row.bytes(0)?;
        Ok(Some(Thumbnail {
            hash: hash
                .as_ref()
                .try_into()
                .map_err(|_| StoreError::corrupt("thumbnails", "a hash of another length"))?,
            size: row.int(1)?.try_into().unwrap_or_default(),
            content_type: row.text(2)?.to_owned(),
        }))
    }

    /// Stores that a thumbnail has been made. Another process may have been faster, with the same one.
    pub async fn insert_thumbnail(
        &self,
        key: ThumbnailKey,
        thumbnail: &Thumbnail,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let sql = "-- thumbnails::insert
            INSERT INTO thumbnails (hash, width, height, crop, animated, thumbnail_hash, size_bytes, content_type, created_ms)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (hash, width, height, crop, animated) DO NOTHING";
        let [hash, width, height, crop, animated] = params(key);
        let params = [
            hash,
            width,
            height,
            crop,
            animated,
            bytes(&thumbnail.hash),
            Value::Int(thumbnail.size.try_into().unwrap_or(i64::MAX)),
            text(&thumbnail.content_type),
            now_ms.int(),
        ];
        self.db().execute(statement(sql, params)).await?;
        Ok(())
    }
}

fn params(key: ThumbnailKey) -> [Value; 5] {
    [
        bytes(&key.hash),
        i64::from(key.width).int(),
        i64::from(key.height).int(),
        Value::Bool(key.crop),
        Value::Bool(key.animated),
    ]
}

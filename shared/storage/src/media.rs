//! Table `media`: what users uploaded, and the ids given out for uploads to come. Free.

use plexus_core::ids::UserNid;

use crate::{
    Store, StoreError,
    db::{DbRow, Value},
    sql::{Int as _, bytes, opt_text, statement, text},
};

/// One id of the media store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Who uploaded it, or will.
    pub user: UserNid,
    /// Until when it may be uploaded, if the id was given out in advance.
    pub expires_ms: Option<i64>,
    /// Whether it is given only to those who show an access token.
    pub needs_token: bool,
    /// What was uploaded, once it was.
    pub content: Option<MediaContent>,
    /// When it was last asked for, to within a day.
    pub last_access_ms: i64,
}

/// What an id of the media store stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaContent {
    /// The SHA-256 of the file, under which it is kept.
    pub hash: [u8; 32],
    /// Its length in bytes.
    pub size: u64,
    /// What its uploader says it is.
    pub content_type: String,
    /// What its uploader calls it.
    pub file_name: Option<String>,
}

/// An id that is given out before its upload.
#[derive(Clone, Copy, Debug)]
pub struct MediaToCome<'a> {
    /// The id.
    pub media_id: &'a str,
    /// Who may upload to it.
    pub user: UserNid,
    /// Now.
    pub now_ms: i64,
    /// Until when.
    pub expires_ms: i64,
    /// Most ids of that user that wait for an upload, this one included.
    pub of_user_max: i64,
}

impl Store {
    /// What an id stands for.
    pub async fn media(&self, media_id: &str) -> Result<Option<Media>, StoreError> {
        let sql = "-- media::media
            SELECT user_nid, expires_ms, needs_token, hash, size_bytes, content_type, file_name, last_access_ms
            FROM media WHERE media_id = $1";
        let row = self.db().query_opt(sql, &[text(media_id)]).await?;
        row.as_ref().map(read).transpose()
    }

    /// Stores an upload under a new id.
    pub async fn insert_media(
        &self,
        media_id: &str,
        user: UserNid,
        content: &MediaContent,
        needs_token: bool,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let sql = "-- media::insert
            INSERT INTO media (media_id, user_nid, created_ms, needs_token, hash, size_bytes, content_type, file_name, last_access_ms)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $3)";
        let params = [
            text(media_id),
            user.int(),
            now_ms.int(),
            Value::Bool(needs_token),
            bytes(&content.hash),
            Value::Int(content.size.try_into().unwrap_or(i64::MAX)),
            text(&content.content_type),
            opt_text(content.file_name.as_deref()),
        ];
        self.db().execute(statement(sql, params)).await?;
        Ok(())
    }

    /// Gives out an id for an upload to come, and forgets those of the same user that have expired; whether he had not too many.
    pub async fn insert_media_to_come(&self, to_come: MediaToCome<'_>) -> Result<bool, StoreError> {
        let MediaToCome {
            media_id,
            user,
            now_ms,
            expires_ms,
            of_user_max,
        } = to_come;
        let forget = "-- media::forget_expired
            DELETE FROM media WHERE user_nid = $1 AND hash IS NULL AND expires_ms <= $2";
        let insert = "-- media::insert_to_come
            INSERT INTO media (media_id, user_nid, created_ms, expires_ms, needs_token, last_access_ms)
            SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS BIGINT), CAST($5 AS BOOLEAN), CAST($3 AS BIGINT)
            WHERE (SELECT count(*) FROM media WHERE user_nid = $2 AND hash IS NULL) < $6";
        let params = [
            text(media_id),
            user.int(),
            now_ms.int(),
            expires_ms.int(),
            // Decided by the upload.
            Value::Bool(true),
            of_user_max.int(),
        ];
        let statements = vec![statement(forget, [user.int(), now_ms.int()]), statement(insert, params)];
        let rows = self.db().transaction(statements).await?;
        Ok(rows.last() == Some(&1))
    }

    /// Stores an upload under an id that was given out for it; whether that is still so.
    pub async fn fill_media(
        &self,
        media_id: &str,
        user: UserNid,
        content: &MediaContent,
        needs_token: bool,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let sql = "-- media::fill
            UPDATE media SET hash = $4, size_bytes = $5, content_type = $6, file_name = $7, needs_token = $8, expires_ms = NULL
            WHERE media_id = $1 AND user_nid = $2 AND hash IS NULL AND expires_ms > $3";
        let params = [
            text(media_id),
            user.int(),
            now_ms.int(),
            bytes(&content.hash),
            Value::Int(content.size.try_into().unwrap_or(i64::MAX)),
            text(&content.content_type),
            opt_text(content.file_name.as_deref()),
            Value::Bool(needs_token),
        ];
        Ok(self.db().execute(statement(sql, params)).await? == 1)
    }

    /// Notes that a file was asked for.
    pub async fn touch_media(&self, media_id: &str, now_ms: i64) -> Result<(), StoreError> {
        let sql = "-- media::touch
            UPDATE media SET last_access_ms = $2 WHERE media_id = $1 AND last_access_ms < $2";
        self.db()
            .execute(statement(sql, [text(media_id), now_ms.int()]))
            .await?;
        Ok(())
    }
}

fn read(row: &DbRow) -> Result<Media, StoreError> {
    let hash = row.opt_bytes(3)?;
    let content = match hash {
        Some(hash) => Some(MediaContent {
            hash: hash
                .as_ref()
                .try_into()
                .map_err(|_| StoreError::corrupt("media", "a hash of another length"))?,
            size: row.int(4)?.try_into().unwrap_or_default(),
            content_type: row.text(5)?.to_owned(),
            file_name: row.opt_text(6)?.map(str::to_owned),
        }),
        None => None,
    };
    Ok(Media {
        user: UserNid(row.int(0)?),
        expires_ms: row.opt_int(1)?,
        needs_token: row.bool(2)?,
        content,
        last_access_ms: row.int(7)?,
    })
}

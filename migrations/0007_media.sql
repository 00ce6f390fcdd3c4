-- The media store. The bytes are in the media folder, each file under the SHA-256 of its content.

-- free: what users uploaded, and the ids given out for uploads to come, which have no hash yet and are forgotten at `expires_ms`.
-- `needs_token` says that it is not given to anybody without an access token. `last_access_ms` is written at most once a day.
CREATE TABLE media (
    media_id TEXT NOT NULL PRIMARY KEY,
    user_nid BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    needs_token BOOLEAN NOT NULL,
    hash BYTEA,
    size_bytes BIGINT,
    content_type TEXT,
    file_name TEXT,
    last_access_ms BIGINT NOT NULL
);
CREATE INDEX media_to_come ON media (user_nid, expires_ms) WHERE hash IS NULL;
CREATE INDEX media_by_hash ON media (hash);

-- free: thumbnails, by the content they are made of. `thumbnail_hash` is that content itself where it is small enough to be its own thumbnail.
CREATE TABLE thumbnails (
    hash BYTEA NOT NULL,
    width BIGINT NOT NULL,
    height BIGINT NOT NULL,
    crop BOOLEAN NOT NULL,
    animated BOOLEAN NOT NULL,
    thumbnail_hash BYTEA NOT NULL,
    size_bytes BIGINT NOT NULL,
    content_type TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (hash, width, height, crop, animated)
);
CREATE INDEX thumbnails_by_thumbnail ON thumbnails (thumbnail_hash);

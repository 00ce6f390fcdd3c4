-- Files of other servers. The bytes are in a folder of their own, each file under the SHA-256 of its content, and may go at any time: they can be fetched
-- again.

-- free: what is kept of other servers' files. `variant` is empty for the file itself, and names the size of a thumbnail otherwise. `is_open` says that
-- its server gives it to anybody. `last_access_ms` is written at most once an hour; what was not asked for for longest goes first.
CREATE TABLE remote_media (
    server_name TEXT NOT NULL,
    media_id TEXT NOT NULL,
    variant TEXT NOT NULL,
    hash BYTEA NOT NULL,
    size_bytes BIGINT NOT NULL,
    content_type TEXT NOT NULL,
    file_name TEXT,
    is_open BOOLEAN NOT NULL,
    last_access_ms BIGINT NOT NULL,
    PRIMARY KEY (server_name, media_id, variant)
);
CREATE INDEX remote_media_by_access ON remote_media (last_access_ms);
CREATE INDEX remote_media_by_hash ON remote_media (hash);

-- free: how many bytes the rows of `remote_media` have together; one row.
CREATE TABLE remote_media_usage (
    id BIGINT NOT NULL PRIMARY KEY,
    size_bytes BIGINT NOT NULL
);
INSERT INTO remote_media_usage (id, size_bytes) VALUES (1, 0);

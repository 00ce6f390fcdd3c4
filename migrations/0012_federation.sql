-- What is known of other servers.

-- free: the signing keys of other servers, each as the document says that vouched for it last. `document` is what the server published, signed by itself:
-- a notary passes it on. `valid_until_ms` is at most a week after `fetched_ms`; `expired_ms` is when the server stopped signing with the key.
CREATE TABLE server_keys (
    server_name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    verify_key TEXT NOT NULL,
    valid_until_ms BIGINT NOT NULL,
    expired_ms BIGINT,
    fetched_ms BIGINT NOT NULL,
    document BYTEA NOT NULL,
    PRIMARY KEY (server_name, key_id)
);

-- free: this server's own earlier keys, which it still publishes.
CREATE TABLE old_signing_keys (
    key_id TEXT NOT NULL PRIMARY KEY,
    verify_key TEXT NOT NULL,
    expired_ms BIGINT NOT NULL
);

-- free: servers that do not answer, and when they are asked again. One that answers has no row.
CREATE TABLE destinations (
    server_name TEXT NOT NULL PRIMARY KEY,
    failing_since_ms BIGINT NOT NULL,
    retry_at_ms BIGINT NOT NULL,
    interval_ms BIGINT NOT NULL
);

-- Guests, sessions that expire, interactive authentication, moderation of accounts.

ALTER TABLE accounts ADD COLUMN guest BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE accounts ADD COLUMN locked BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE accounts ADD COLUMN suspended BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE accounts ADD COLUMN erased BOOLEAN NOT NULL DEFAULT FALSE;

-- An access token that can be refreshed expires. One that was given for a refresh token and not used yet is unconfirmed: its first use ends the pair
-- before it, which until then the client may still depend on.
ALTER TABLE access_tokens ADD COLUMN expires_ms BIGINT;
ALTER TABLE access_tokens ADD COLUMN unconfirmed BOOLEAN NOT NULL DEFAULT FALSE;

-- ordered: refresh tokens, as SHA-256, each with the access token given with it.
CREATE TABLE refresh_tokens (
    token_hash BYTEA NOT NULL PRIMARY KEY,
    user_nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    access_hash BYTEA NOT NULL,
    created_ms BIGINT NOT NULL,
    FOREIGN KEY (user_nid, device_id) REFERENCES devices (user_nid, device_id)
);
CREATE INDEX refresh_tokens_by_device ON refresh_tokens (user_nid, device_id);

-- free: what is given out to be shown again within a time: interactive authentication, nonces, login tokens, OpenID tokens.
CREATE TABLE tickets (
    ticket_hash BYTEA NOT NULL PRIMARY KEY,
    expires_ms BIGINT NOT NULL,
    body BYTEA NOT NULL
);
CREATE INDEX tickets_by_expiry ON tickets (expires_ms);

-- free: where and when devices were last seen, written seldom and behind the truth.
CREATE TABLE device_sightings (
    user_nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    seen_ms BIGINT NOT NULL,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    PRIMARY KEY (user_nid, device_id)
);

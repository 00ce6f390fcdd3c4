-- What is sent to other servers.

-- Whether it is for this server to send the event to the others in its room: its own, and what others had it accept for the room.
ALTER TABLE events ADD COLUMN outgoing BOOLEAN NOT NULL DEFAULT FALSE;

-- The part of the id after the first colon. NULL in rows of an older build, which knew no users of other servers.
ALTER TABLE users ADD COLUMN server TEXT;
CREATE INDEX users_by_server ON users (server, user_nid);

-- ordered: the last change of each device of a local user that other servers learn of; '' stands for the user's cross-signing keys. `previous` is where
-- any of the user's devices had changed before.
CREATE TABLE outgoing_device_changes (
    user_nid BIGINT NOT NULL REFERENCES users (user_nid),
    device_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    previous BIGINT,
    PRIMARY KEY (user_nid, device_id)
);
CREATE INDEX outgoing_device_changes_by_position ON outgoing_device_changes (position);

-- free: messages to devices of other servers' users. Written with the Command that sends them, removed once their server has them.
CREATE TABLE outgoing_to_device (
    server TEXT NOT NULL,
    position BIGINT NOT NULL,
    sender_nid BIGINT NOT NULL,
    kind TEXT NOT NULL,
    message_id TEXT NOT NULL,
    messages BYTEA NOT NULL,
    PRIMARY KEY (server, position)
);

-- free: destinations belong to buckets. All that is for those of a bucket up to here has been delivered, except to destinations that lag.
CREATE TABLE delivery_cursors (
    bucket BIGINT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
);

-- free: destinations that lag: they have all up to `since`. `noted` is how far the log was known when that was last said.
CREATE TABLE delivery_lags (
    server TEXT NOT NULL PRIMARY KEY,
    bucket BIGINT NOT NULL,
    since BIGINT NOT NULL,
    noted BIGINT NOT NULL
);
CREATE INDEX delivery_lags_by_bucket ON delivery_lags (bucket, server);

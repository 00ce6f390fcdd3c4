-- Devices of users of other servers, as far as this server is told of their changes: while somebody here shares a room with the user.

-- ordered: how current the list of a user's devices is. `stream_id` is the last change of it that is known, by his server's count; `as_of` is the place in
-- the log that was reached when the whole list was asked for. A `stale` list lacks a change, and has to be asked for again. The user's
-- cross-signing keys are in `cross_signing_keys`.
CREATE TABLE remote_device_lists (
    user_nid BIGINT NOT NULL PRIMARY KEY REFERENCES users (user_nid),
    stream_id BIGINT NOT NULL,
    as_of BIGINT NOT NULL,
    stale BOOLEAN NOT NULL
);

-- ordered: the devices of those lists, with their keys as their server gave them.
CREATE TABLE remote_devices (
    user_nid BIGINT NOT NULL REFERENCES remote_device_lists (user_nid),
    device_id TEXT NOT NULL,
    display_name TEXT,
    json BYTEA NOT NULL,
    PRIMARY KEY (user_nid, device_id)
);

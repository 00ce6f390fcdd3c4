-- Pushers: where a device wants to be told of events while nobody looks at it.

-- ordered: the pushers of local users. `position` is where the pusher was made: it is told of what comes after.
CREATE TABLE pushers (
    user_nid BIGINT NOT NULL REFERENCES users (user_nid),
    app_id TEXT NOT NULL,
    pushkey TEXT NOT NULL,
    device_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    app_display_name TEXT NOT NULL,
    device_display_name TEXT NOT NULL,
    profile_tag TEXT,
    lang TEXT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (user_nid, app_id, pushkey)
);
CREATE INDEX pushers_by_key ON pushers (app_id, pushkey);

-- free: how far each pusher has been told. A pusher without a row begins at its own position.
CREATE TABLE pusher_cursors (
    user_nid BIGINT NOT NULL,
    app_id TEXT NOT NULL,
    pushkey TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_nid, app_id, pushkey)
);

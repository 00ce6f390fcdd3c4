-- Each table says whether it is ordered (only the master writes it, by a Command, and a log row tells of it) or free (any process writes it).

-- ordered: the head of each writer's chain. Its compare-and-swap is lease check, order and head in one.
CREATE TABLE log_head (
    writer BIGINT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL,
    epoch BIGINT NOT NULL
);

-- ordered: the chain itself, pruned by age. `frame` holds ids, not bodies.
CREATE TABLE log (
    writer BIGINT NOT NULL,
    position BIGINT NOT NULL,
    previous BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    frame BYTEA NOT NULL,
    PRIMARY KEY (writer, position)
);

-- ordered: the result of every Command, so that a retry gets the same answer. Pruned by age.
CREATE TABLE commands (
    id BYTEA NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    result BYTEA NOT NULL
);
CREATE INDEX commands_by_position ON commands (position);

-- ordered: follow-up Commands, written with the change that asks for them and removed with the change that does them.
CREATE TABLE tasks (
    id BIGINT NOT NULL PRIMARY KEY,
    due_ms BIGINT NOT NULL,
    command BYTEA NOT NULL
);
CREATE INDEX tasks_by_due ON tasks (due_ms);

-- free: who leads each chain, by lease on the database's clock.
CREATE TABLE leases (
    writer BIGINT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    holder TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
);

-- free: facts about this database: its format, the server name it belongs to, the generation of its tokens.
CREATE TABLE facts (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- free: the processes of this deployment, each row renewed by its own process.
CREATE TABLE processes (
    name TEXT NOT NULL PRIMARY KEY,
    roles TEXT NOT NULL,
    internal_address TEXT NOT NULL,
    rows_known BIGINT NOT NULL,
    position TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
);

-- ordered: interned user ids, local and remote.
CREATE TABLE users (
    user_nid BIGINT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL UNIQUE
);

-- ordered: local accounts.
CREATE TABLE accounts (
    user_nid BIGINT NOT NULL PRIMARY KEY REFERENCES users (user_nid),
    password_hash TEXT,
    admin BOOLEAN NOT NULL,
    deactivated BOOLEAN NOT NULL,
    created_ms BIGINT NOT NULL
);

-- ordered: profiles of local users, one row per field.
CREATE TABLE profiles (
    user_nid BIGINT NOT NULL REFERENCES users (user_nid),
    field TEXT NOT NULL,
    value BYTEA NOT NULL,
    PRIMARY KEY (user_nid, field)
);

-- ordered: devices of local users.
CREATE TABLE devices (
    user_nid BIGINT NOT NULL REFERENCES users (user_nid),
    device_id TEXT NOT NULL,
    display_name TEXT,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (user_nid, device_id)
);

-- ordered: access tokens, as SHA-256.
CREATE TABLE access_tokens (
    token_hash BYTEA NOT NULL PRIMARY KEY,
    user_nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    FOREIGN KEY (user_nid, device_id) REFERENCES devices (user_nid, device_id)
);
CREATE INDEX access_tokens_by_device ON access_tokens (user_nid, device_id);

-- ordered: rooms.
CREATE TABLE rooms (
    room_nid BIGINT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL UNIQUE,
    version BIGINT NOT NULL
);

-- ordered: what the master needs to go on with a room: its newest events, where its timeline ends, its state.
CREATE TABLE room_heads (
    room_nid BIGINT NOT NULL PRIMARY KEY REFERENCES rooms (room_nid),
    extremities BYTEA NOT NULL,
    room_order BIGINT NOT NULL,
    depth BIGINT NOT NULL,
    room_root BIGINT NOT NULL,
    next_node BIGINT NOT NULL
);

-- ordered: pairs of event type and state key.
CREATE TABLE state_keys (
    state_key_nid BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    state_key TEXT NOT NULL,
    UNIQUE (kind, state_key)
);

-- ordered: events. `event_id` is the 32 bytes of the reference hash, or the text of a version 1 or 2 id.
-- `position` is the place in the log, for what is new; `room_order` is the place in the timeline, NULL for an outlier.
-- `transaction_device` and `transaction_id` are the client's transaction, told back to the device that sent it. There are no foreign keys:
-- each costs a lookup and a row lock for every message, and only the master writes here, which has the room at hand.
CREATE TABLE events (
    event_nid BIGINT NOT NULL PRIMARY KEY,
    event_id BYTEA NOT NULL UNIQUE,
    room_nid BIGINT NOT NULL,
    position BIGINT NOT NULL,
    room_order BIGINT,
    sender_nid BIGINT NOT NULL,
    state_key_nid BIGINT,
    state_before BIGINT NOT NULL,
    room_root BIGINT NOT NULL,
    redacted_by BIGINT,
    transaction_device TEXT,
    transaction_id TEXT,
    json BYTEA NOT NULL
);
CREATE INDEX events_by_room_order ON events (room_nid, room_order);
CREATE INDEX events_by_position ON events (room_nid, position);

-- ordered: nodes of the rooms' state tries. Immutable.
CREATE TABLE state_nodes (
    room_nid BIGINT NOT NULL,
    node_id BIGINT NOT NULL,
    checksum BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (room_nid, node_id)
);

-- ordered: the history of every membership, one row for each member event; the membership at a position is the last row up to it.
CREATE TABLE memberships (
    user_nid BIGINT NOT NULL,
    room_nid BIGINT NOT NULL,
    position BIGINT NOT NULL,
    membership BIGINT NOT NULL,
    event_nid BIGINT NOT NULL,
    PRIMARY KEY (user_nid, room_nid, position)
);
CREATE INDEX memberships_by_room ON memberships (room_nid, position);

-- ordered: the newest receipt of each user in each room and thread ('' for a receipt without a thread).
CREATE TABLE receipts (
    room_nid BIGINT NOT NULL,
    user_nid BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    thread TEXT NOT NULL,
    position BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    ts_ms BIGINT NOT NULL,
    PRIMARY KEY (room_nid, user_nid, kind, thread)
);
CREATE INDEX receipts_by_position ON receipts (room_nid, position);

-- free: sync filters; immutable once stored.
CREATE TABLE filters (
    user_nid BIGINT NOT NULL REFERENCES users (user_nid),
    filter_id BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (user_nid, filter_id)
);

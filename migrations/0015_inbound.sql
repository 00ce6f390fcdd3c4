-- What other servers send.

-- free: transactions of other servers that have been taken. The same transaction again, for a day, gets the same answer.
CREATE TABLE received_transactions (
    server_name TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    received_ms BIGINT NOT NULL,
    answer BYTEA NOT NULL,
    PRIMARY KEY (server_name, transaction_id)
);
CREATE INDEX received_transactions_by_time ON received_transactions (received_ms);

-- free: events of other servers that refer to events which are still to be fetched, and when that is tried again. They have been verified.
CREATE TABLE staged_events (
    room_nid BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    origin TEXT NOT NULL,
    staged_ms BIGINT NOT NULL,
    retry_at_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    json BYTEA NOT NULL,
    PRIMARY KEY (room_nid, event_id)
);
CREATE INDEX staged_events_due ON staged_events (retry_at_ms, room_nid);

-- free: the rooms of such events that a process works on, and until when no other does.
CREATE TABLE staged_rooms (
    room_nid BIGINT NOT NULL PRIMARY KEY,
    taken_until_ms BIGINT NOT NULL
);

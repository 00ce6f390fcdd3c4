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

-- free: events of other servers that refer to events which are still to be fetched. They have been verified.
CREATE TABLE staged_events (
    room_nid BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    origin TEXT NOT NULL,
    staged_ms BIGINT NOT NULL,
    json BYTEA NOT NULL,
    PRIMARY KEY (room_nid, event_id)
);

-- free: rooms that have such events, and when it is tried again to fetch what they need. The process that tries it sets the time ahead, so that no other
-- does. `staged` counts the events that have come: who has seen fewer leaves the row.
CREATE TABLE staged_rooms (
    room_nid BIGINT NOT NULL PRIMARY KEY,
    retry_at_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    staged BIGINT NOT NULL
);
CREATE INDEX staged_rooms_due ON staged_rooms (retry_at_ms);

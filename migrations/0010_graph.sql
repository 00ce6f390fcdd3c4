-- The graph of a room's events: what became of each, and the state on its own branch.

-- `status`: 0 accepted, 1 rejected, 2 soft-failed, 3 an outlier. Only an accepted event has a `room_order`.
ALTER TABLE events ADD COLUMN status BIGINT NOT NULL DEFAULT 0;
-- The state after the event on its own branch; NULL where that is the room's state too, as in a room without forks.
ALTER TABLE events ADD COLUMN state_after BIGINT;
-- Of a state event, the numbers of its auth_events. NULL in rows of an older build.
ALTER TABLE events ADD COLUMN auth_parents BYTEA;
-- Why a rejected event was rejected.
ALTER TABLE events ADD COLUMN rejected_for TEXT;

-- ordered: redactions of events that are not known yet, by the id they name. They take effect when the event comes.
CREATE TABLE pending_redactions (
    room_nid BIGINT NOT NULL,
    redacts TEXT NOT NULL,
    redaction_nid BIGINT NOT NULL,
    PRIMARY KEY (room_nid, redacts, redaction_nid)
);

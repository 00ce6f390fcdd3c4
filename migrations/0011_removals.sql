-- What is deleted in steps, rooms that nobody may join, and numbers that must not be given again.

-- ordered: purges of rooms' histories and deletions of rooms: those under way, and for some days those that have ended. `kind` is 1 for a purge and 2 for
-- a deletion; `status` is 1 while it is under way, 2 once it is complete and 3 if it has failed. `report` is what is told of it, as JSON.
CREATE TABLE removals (
    removal_id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL,
    kind BIGINT NOT NULL,
    status BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    report BYTEA NOT NULL
);
CREATE INDEX removals_by_room ON removals (room_id, changed_ms);
CREATE INDEX removals_ended ON removals (changed_ms) WHERE status <> 1;
CREATE UNIQUE INDEX removals_under_way ON removals (room_id) WHERE status = 1;

-- ordered: rooms that no local user may join, known here or not, and the administrator who decided it.
CREATE TABLE blocked_rooms (
    room_id TEXT NOT NULL PRIMARY KEY,
    blocked_by BIGINT NOT NULL
);

-- ordered: the greatest number that something deleted had, of each kind of which the newest may be deleted: it is never given again.
CREATE TABLE deleted_nids (
    kind TEXT NOT NULL PRIMARY KEY,
    greatest BIGINT NOT NULL
);

-- For the deletion of a room; most account data belongs to none.
CREATE INDEX account_data_by_room ON account_data (room_nid) WHERE room_nid <> 0;

-- Rooms that were joined before all of their state was here.

-- ordered: `event_nid` is the event whose state before it is not all here, `servers` the names of the servers that were in the room, as a JSON array.
-- `completed` is the place in the log where all of it was, 9223372036854775807 until then; the row stays for those who were told nothing of the room before.
CREATE TABLE partial_rooms (
    room_nid BIGINT NOT NULL PRIMARY KEY,
    event_nid BIGINT NOT NULL,
    servers TEXT NOT NULL,
    completed BIGINT NOT NULL
);
CREATE INDEX partial_rooms_by_completed ON partial_rooms (completed);

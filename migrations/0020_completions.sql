-- Who fetches the rest of the state of rooms that were joined with a part of it.

-- free: until when a process has taken a room on. Rows of rooms that are complete are deleted.
CREATE TABLE state_completions (
    room_nid BIGINT NOT NULL PRIMARY KEY,
    until_ms BIGINT NOT NULL
);

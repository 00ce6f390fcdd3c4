-- Account data and unread counts.

-- ordered: what users keep for themselves, of each type the newest. `room_nid` is 0 for what belongs to no room. Tags, read markers, push rules and the
-- list of ignored users are among it.
CREATE TABLE account_data (
    user_nid BIGINT NOT NULL,
    room_nid BIGINT NOT NULL,
    kind TEXT NOT NULL,
    position BIGINT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (user_nid, room_nid, kind)
);
CREATE INDEX account_data_by_position ON account_data (user_nid, position);

-- How many events of the room, up to this one, notify everybody by the rules all users begin with. So what is unread is a difference of two of them, and a
-- message costs the same however many members there are.
ALTER TABLE events ADD COLUMN notifying BIGINT NOT NULL DEFAULT 0;

-- ordered: events that highlight a room, for one user or for everybody (`user_nid` 0). `notifies` is whether the event notifies this user and not everybody,
-- so that `notifying` does not have it.
CREATE TABLE highlights (
    room_nid BIGINT NOT NULL,
    user_nid BIGINT NOT NULL,
    position BIGINT NOT NULL,
    notifies BOOLEAN NOT NULL,
    PRIMARY KEY (room_nid, user_nid, position)
);

-- Rooms that users of this server are invited to, or have knocked at, while the server is not in them.

-- ordered: what such a user was told of the room, as a JSON array of stripped events.
CREATE TABLE room_previews (
    user_nid BIGINT NOT NULL,
    room_nid BIGINT NOT NULL,
    state BYTEA NOT NULL,
    PRIMARY KEY (user_nid, room_nid)
);

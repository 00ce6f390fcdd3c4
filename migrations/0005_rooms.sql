-- Aliases, the room directory, forgotten rooms, and how many users each room has.

-- ordered: the aliases of this server.
CREATE TABLE room_aliases (
    alias TEXT NOT NULL PRIMARY KEY,
    room_nid BIGINT NOT NULL REFERENCES rooms (room_nid),
    creator_nid BIGINT NOT NULL
);
CREATE INDEX room_aliases_by_room ON room_aliases (room_nid);

-- ordered: rooms that users have forgotten: every membership before the position.
CREATE TABLE forgotten_rooms (
    user_nid BIGINT NOT NULL,
    room_nid BIGINT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_nid, room_nid)
);

ALTER TABLE room_heads ADD COLUMN joined BIGINT NOT NULL DEFAULT 0;
ALTER TABLE room_heads ADD COLUMN invited BIGINT NOT NULL DEFAULT 0;
-- Whether the directory lists the room.
ALTER TABLE room_heads ADD COLUMN listed BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX room_heads_listed ON room_heads (joined DESC, room_nid) WHERE listed;
UPDATE room_heads SET
    joined = (SELECT COUNT(*) FROM memberships m WHERE m.room_nid = room_heads.room_nid AND m.membership = 1 AND m.position = (
        SELECT MAX(n.position) FROM memberships n WHERE n.user_nid = m.user_nid AND n.room_nid = m.room_nid)),
    invited = (SELECT COUNT(*) FROM memberships m WHERE m.room_nid = room_heads.room_nid AND m.membership = 2 AND m.position = (
        SELECT MAX(n.position) FROM memberships n WHERE n.user_nid = m.user_nid AND n.room_nid = m.room_nid));

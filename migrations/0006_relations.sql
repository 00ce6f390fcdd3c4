-- Events that relate to events.

-- ordered: what relates to what. One row for each event that points to another one of its room, as long as it is not redacted.
-- `parent` is the other's id as `events.event_id` has it; it need not be here. `rel_code` is the kind of relation, for the index.
-- `annotation` is the same for two annotations that say the same. Names are bytes, because they may hold anything, a NUL too.
CREATE TABLE relations (
    event_nid BIGINT NOT NULL PRIMARY KEY,
    room_nid BIGINT NOT NULL,
    parent BYTEA NOT NULL,
    rel_code BIGINT NOT NULL,
    rel_type BYTEA NOT NULL,
    kind BYTEA NOT NULL,
    sender_nid BIGINT NOT NULL,
    position BIGINT NOT NULL,
    room_order BIGINT NOT NULL,
    ts_ms BIGINT NOT NULL,
    annotation BYTEA
);
CREATE INDEX relations_by_parent ON relations (parent, room_order);
CREATE INDEX relations_by_kind ON relations (parent, rel_code, room_order);
CREATE INDEX relations_by_annotation ON relations (annotation) WHERE annotation IS NOT NULL;
CREATE INDEX threads_by_room ON relations (room_nid, parent, room_order, position) WHERE rel_code = 4;

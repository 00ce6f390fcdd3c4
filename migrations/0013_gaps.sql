-- History that is not here, because it came before this server did or while it was away.

-- ordered: events before which some of a room's history is missing. Below `region`, the `room_order` of an event that came live, values are left free for
-- what is fetched of it; the gap at an event fetched so is in the region of the one it was fetched for.
CREATE TABLE room_gaps (
    room_nid BIGINT NOT NULL,
    event_nid BIGINT NOT NULL,
    region BIGINT NOT NULL,
    PRIMARY KEY (room_nid, event_nid)
);

-- Search in messages and among users, reports.

-- free: how far that has come which is derived from the log. `position` is the place in the log to go on from; `scanned` is the last number gone through
-- of what was there before that place, NULL once all of it has been.
CREATE TABLE derived (
    name TEXT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL,
    scanned BIGINT
);

-- free: the events that can be searched; derived. Their words are below, as each engine wants them.
CREATE TABLE search_events (
    event_nid BIGINT NOT NULL PRIMARY KEY,
    room_nid BIGINT NOT NULL,
    sender_nid BIGINT NOT NULL,
    position BIGINT NOT NULL,
    part BIGINT NOT NULL
);

-- only: sqlite
CREATE VIRTUAL TABLE search_words USING fts5(words, room, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 0');
-- end only

-- only: postgres
ALTER TABLE search_events ADD COLUMN words tsvector;
CREATE INDEX search_events_by_words ON search_events USING gin (words);
-- end only

-- free: users as others find them; derived. `is_open`: whether he is in a room that anybody may join or read.
CREATE TABLE directory_users (
    user_nid BIGINT NOT NULL PRIMARY KEY,
    display_name TEXT,
    avatar_url TEXT,
    is_open BOOLEAN NOT NULL
);

-- free: the words of their names; derived.
CREATE TABLE directory_words (
    user_nid BIGINT NOT NULL,
    word TEXT NOT NULL,
    is_open BOOLEAN NOT NULL,
    PRIMARY KEY (user_nid, word)
);
CREATE INDEX directory_words_by_word ON directory_words (word, user_nid);
CREATE INDEX directory_words_of_open ON directory_words (word, user_nid) WHERE is_open;

-- free: the rooms that anybody may join or read; derived.
CREATE TABLE open_rooms (
    room_nid BIGINT NOT NULL PRIMARY KEY
);

-- free: what users have reported to those who run the server.
CREATE TABLE reports (
    report_id BIGINT NOT NULL PRIMARY KEY,
    created_ms BIGINT NOT NULL,
    reporter_nid BIGINT NOT NULL,
    room_nid BIGINT,
    event_nid BIGINT,
    user_nid BIGINT,
    score BIGINT,
    reason TEXT NOT NULL
);
CREATE INDEX reports_by_reporter ON reports (reporter_nid, created_ms);
CREATE INDEX reports_by_time ON reports (created_ms);

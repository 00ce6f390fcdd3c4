//! Full-text search: the one thing that each engine does in its own way. SQLite has a table of its own for words (FTS5), PostgreSQL a column (`tsvector`).
//!
//! Both are given words as `plexus_core::words` makes them, and neither stems: what one finds the other finds.

use super::{Engine, Statement, Value};

/// Most events that one search ranks or sorts, the newest ones that have the words.
pub const HITS_MAX: i64 = 20_000;
/// Rooms that the words' index is asked for. For more it is asked for all rooms.
const ROOMS_IN_INDEX_MAX: usize = 500;

/// An event to be found.
#[derive(Clone, Debug)]
pub struct Indexed<'a> {
    /// The event, its room and its sender, as numbers.
    pub event: i64,
    /// Its room.
    pub room: i64,
    /// Its sender.
    pub sender: i64,
    /// Its place in the log.
    pub position: i64,
    /// Which of its parts the words are of.
    pub part: i64,
    /// The words.
    pub words: &'a [String],
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// All of them have to be there.
    pub words: &'a [String],
    /// In one of these rooms.
    pub rooms: Vec<i64>,
    /// In one of these parts.
    pub parts: Vec<i64>,
    /// By this sender, if anybody in particular.
    pub sender: Option<i64>,
    /// The best first, instead of the newest.
    pub by_rank: bool,
    /// What comes after this key and event.
    pub after: Option<(i64, i64)>,
    /// At most so many.
    pub limit: i64,
}

/// Adds an event, or changes nothing if it is there.
pub(crate) fn insert(engine: Engine, indexed: &Indexed<'_>) -> Vec<Statement> {
    let event: [Value; 5] = [
        indexed.event.into(),
        indexed.room.into(),
        indexed.sender.into(),
        indexed.position.into(),
        indexed.part.into(),
    ];
    let words: Value = indexed.words.join(" ").into();
    match engine {
        Engine::Sqlite => vec![
            Statement::new(
                "-- full_text::insert_event
                INSERT INTO search_events (event_nid, room_nid, sender_nid, position, part) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (event_nid) DO NOTHING",
                event,
            ),
            Statement::new(
                "-- full_text::insert_words
                INSERT OR REPLACE INTO search_words (rowid, words, room) VALUES ($1, $2, $3)",
                [indexed.event.into(), words, room_word(indexed.room).into()],
            ),
        ],
        Engine::Postgres => {
            let [event, room, sender, position, part] = event;
            vec![Statement::new(
                "-- full_text::insert
                INSERT INTO search_events (event_nid, room_nid, sender_nid, position, part, words)
                VALUES ($1, $2, $3, $4, $5, to_tsvector('simple', $6)) ON CONFLICT (event_nid) DO NOTHING",
                [event, room, sender, position, part, words],
            )]
        }
    }
}

/// Takes an event out.
pub(crate) fn delete(engine: Engine, event: i64) -> Vec<Statement> {
    let sql = "-- full_text::delete_event
        DELETE FROM search_events WHERE event_nid = $1";
    let mut statements = vec![Statement::new(sql, [event.into()])];
    if engine == Engine::Sqlite {
        let sql = "-- full_text::delete_words
            DELETE FROM search_words WHERE rowid = $1";
        statements.push(Statement::new(sql, [event.into()]));
    }
    statements
}

/// The query's text and parameters. Its columns: the event, the key it is sorted by, its score, and how many there are in all.
pub(crate) fn select(engine: Engine, query: &Query<'_>) -> (&'static str, [Value; 9]) {
    let (key, event) = query.after.unwrap_or((i64::MAX, i64::MAX));
    let words = match engine {
        Engine::Sqlite => sqlite_match(query),
        Engine::Postgres => query.words.join(" "),
    };
    let params = [
        words.into(),
        query.rooms.clone().into(),
        query.parts.clone().into(),
        query.sender.into(),
        query.by_rank.into(),
        key.into(),
        event.into(),
        query.limit.into(),
        HITS_MAX.into(),
    ];
    let sql = match engine {
        Engine::Sqlite => {
            "-- full_text::select
            WITH hits AS MATERIALIZED (
                SELECT rowid AS event_nid, CAST(-bm25(search_words, 1.0, 0.0) * 1000000000000 AS BIGINT) AS score
                FROM search_words WHERE search_words MATCH $1 ORDER BY rowid DESC LIMIT $9
            )
            SELECT event_nid, sort_key, score, total FROM (
                SELECT e.event_nid, hits.score, CASE WHEN $5 THEN hits.score ELSE e.position END AS sort_key, count(*) OVER () AS total
                FROM hits JOIN search_events e ON e.event_nid = hits.event_nid
                WHERE e.room_nid = ANY($2) AND e.part = ANY($3) AND ($4 IS NULL OR e.sender_nid = $4)
            ) AS found WHERE (sort_key, event_nid) < ($6, $7) ORDER BY sort_key DESC, event_nid DESC LIMIT $8"
        }
        Engine::Postgres => {
            "-- full_text::select
            WITH hits AS MATERIALIZED (
                SELECT event_nid, position, CAST(ts_rank(words, plainto_tsquery('simple', $1)) * 1000000000000 AS BIGINT) AS score
                FROM search_events
                WHERE words @@ plainto_tsquery('simple', $1) AND room_nid = ANY($2) AND part = ANY($3)
                    AND (CAST($4 AS BIGINT) IS NULL OR sender_nid = CAST($4 AS BIGINT))
                ORDER BY event_nid DESC LIMIT $9
            )
            SELECT event_nid, sort_key, score, total FROM (
                SELECT event_nid, score, CASE WHEN CAST($5 AS BOOLEAN) THEN score ELSE position END AS sort_key, count(*) OVER () AS total FROM hits
            ) AS found WHERE (sort_key, event_nid) < (CAST($6 AS BIGINT), CAST($7 AS BIGINT)) ORDER BY sort_key DESC, event_nid DESC LIMIT $8"
        }
    };
    (sql, params)
}

/// All words, and one of the rooms.
fn sqlite_match(query: &Query<'_>) -> String {
    // Words are letters and digits, so that quotes are enough.
    let words: Vec<String> = query.words.iter().map(|word| format!("\"{word}\"")).collect();
    let words = format!("words : ({})", words.join(" AND "));
    if query.rooms.len() > ROOMS_IN_INDEX_MAX {
        return words;
    }
    let rooms: Vec<String> = query.rooms.iter().map(|room| room_word(*room)).collect();
    format!("{words} AND room : ({})", rooms.join(" OR "))
}

fn room_word(room: i64) -> String {
    format!("r{room}")
}

//! Tables `search_events` and `search_words`: what events can be found by. Free: derived from the log.

pub use crate::db::full_text::{HITS_MAX, Indexed, Query};
use crate::{
    StoreError,
    db::{Database, Statement, full_text},
};

/// What the index is called in `derived`.
pub const NAME: &str = "search";

/// An event that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its number.
    pub event: i64,
    /// What it is sorted by: its score, or its place in the log.
    pub sort_key: i64,
    /// How well it fits, in trillionths: SQLite gives words that most events have a score of about a millionth.
    pub score: i64,
    /// How many were found in all.
    pub total: i64,
}

/// Adds an event.
pub fn insert(db: &Database, indexed: &Indexed<'_>) -> Vec<Statement> {
    full_text::insert(db.engine(), indexed)
}

/// Takes an event out, if it is there.
pub fn delete(db: &Database, event: i64) -> Vec<Statement> {
    full_text::delete(db.engine(), event)
}

/// What fits, in the order asked for.
pub async fn find(db: &Database, query: &Query<'_>) -> Result<Vec<Hit>, StoreError> {
    let (sql, params) = full_text::select(db.engine(), query);
    let rows = db.query(sql, &params).await?;
    rows.iter()
        .map(|row| {
            Ok(Hit {
                event: row.int(0)?,
                sort_key: row.int(1)?,
                score: row.int(2)?,
                total: row.int(3)?,
            })
        })
        .collect()
}

//! Tables `delivery_cursors` and `delivery_lags`: how far other servers have been told. Free.
//!
//! Whatever several processes write here at once is true whoever is last: a cursor only moves forward, and a lag is forgotten only by whoever knows as much
//! of the log as whoever noted it.

use plexus_core::position::Sequence;
use ruma::{OwnedServerName, ServerName};

use crate::{
    Store, StoreError,
    db::DbRow,
    sql::{Int as _, statement, text},
};

/// A destination that lags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Which.
    pub server: OwnedServerName,
    /// It has all up to here.
    pub since: Sequence,
    /// How far the log was known when that was said.
    pub noted: Sequence,
}

impl Store {
    /// How far the destinations of each bucket have been told; a bucket that is not here, never.
    pub async fn delivery_cursors(&self) -> Result<Vec<(i64, Sequence)>, StoreError> {
        let sql = "-- delivery::cursors
            SELECT bucket, position FROM delivery_cursors ORDER BY bucket";
        let rows = self.db().query(sql, &[]).await?;
        rows.iter().map(|row| Ok((row.int(0)?, row.int(1)?))).collect()
    }

    /// Remembers how far the destinations of buckets have been told.
    pub async fn move_delivery_cursors(&self, cursors: &[(i64, Sequence)]) -> Result<(), StoreError> {
        if cursors.is_empty() {
            return Ok(());
        }
        let moved = cursors.iter().map(|(bucket, position)| {
            statement(
                "-- delivery::move_cursor
                INSERT INTO delivery_cursors (bucket, position) VALUES ($1, $2)
                ON CONFLICT (bucket) DO UPDATE SET position = excluded.position
                WHERE delivery_cursors.position < excluded.position",
                [bucket.int(), position.int()],
            )
        });
        self.db().transaction(moved.collect()).await?;
        Ok(())
    }

    /// The destinations of a bucket that lag, by name, a page at a time.
    pub async fn delivery_lags(
        &self,
        bucket: i64,
        after: Option<&ServerName>,
        limit: i64,
    ) -> Result<Vec<Lag>, StoreError> {
        let sql = "-- delivery::lags
            SELECT server, since, noted FROM delivery_lags WHERE bucket = $1 AND server > $2 ORDER BY server LIMIT $3";
        let after = text(after.map_or("", ServerName::as_str));
        let rows = self.db().query(sql, &[bucket.int(), after, limit.int()]).await?;
        rows.iter().map(read).collect()
    }

    /// The destinations that lag, of all buckets, by name, at most `limit`.
    pub async fn all_delivery_lags(&self, limit: i64) -> Result<Vec<Lag>, StoreError> {
        let sql = "-- delivery::all_lags
            SELECT server, since, noted FROM delivery_lags ORDER BY server LIMIT $1";
        let rows = self.db().query(sql, &[limit.int()]).await?;
        rows.iter().map(read).collect()
    }

    /// The lag of a destination.
    pub async fn delivery_lag(&self, server: &ServerName) -> Result<Option<Lag>, StoreError> {
        let sql = "-- delivery::lag
            SELECT server, since, noted FROM delivery_lags WHERE server = $1";
        let row = self.db().query_opt(sql, &[text(server.as_str())]).await?;
        row.as_ref().map(read).transpose()
    }

    /// The destinations that lag and are not left alone at the moment, by name, a page at a time.
    pub async fn due_deliveries(
        &self,
        after: Option<&ServerName>,
        now_ms: i64,
        limit: i64,
    ) -> Result<Vec<OwnedServerName>, StoreError> {
        let sql = "-- delivery::due
            SELECT l.server FROM delivery_lags l LEFT JOIN destinations d ON d.server_name = l.server
            WHERE l.server > $1 AND (d.server_name IS NULL OR d.retry_at_ms <= $2) ORDER BY l.server LIMIT $3";
        let after = text(after.map_or("", ServerName::as_str));
        let rows = self.db().query(sql, &[after, now_ms.int(), limit.int()]).await?;
        rows.iter().map(|row| server(row.text(0)?)).collect()
    }

    /// Notes that a destination lags. If that was noted before, what it has is what it had then.
    pub async fn note_delivery_lag(&self, bucket: i64, lag: &Lag) -> Result<(), StoreError> {
        let noted = statement(
            "-- delivery::note_lag
            INSERT INTO delivery_lags (server, bucket, since, noted) VALUES ($1, $2, $3, $4)
            ON CONFLICT (server) DO UPDATE SET
                since = CASE WHEN excluded.since < delivery_lags.since THEN excluded.since ELSE delivery_lags.since END,
                noted = CASE WHEN excluded.noted > delivery_lags.noted THEN excluded.noted ELSE delivery_lags.noted END",
            [
                text(lag.server.as_str()),
                bucket.int(),
                lag.since.int(),
                lag.noted.int(),
            ],
        );
        self.db().execute(noted).await?;
        Ok(())
    }

    /// A destination has all up to a place; who noted its lag knew no more than that.
    pub async fn forget_delivery_lag(&self, server: &ServerName, up_to: Sequence) -> Result<(), StoreError> {
        let forgotten = statement(
            "-- delivery::forget_lag
            DELETE FROM delivery_lags WHERE server = $1 AND noted <= $2",
            [text(server.as_str()), up_to.int()],
        );
        self.db().execute(forgotten).await?;
        Ok(())
    }
}

fn read(row: &DbRow) -> Result<Lag, StoreError> {
    Ok(Lag {
        server: server(row.text(0)?)?,
        since: row.int(1)?,
        noted: row.int(2)?,
    })
}

fn server(name: &str) -> Result<OwnedServerName, StoreError> {
    ServerName::parse(name).map_err(|error| StoreError::corrupt("delivery_lags", error.to_string()))
}

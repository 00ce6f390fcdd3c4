//! Table `destinations`: servers that do not answer, and when they are asked again. Free.

use ruma::{OwnedServerName, ServerName};

use crate::{
    Store, StoreError,
    db::DbRow,
    sql::{Int as _, statement, text},
};

/// A server that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Since when.
    pub since_ms: i64,
    /// When it is asked again.
    pub retry_at_ms: i64,
    /// How long that was to wait.
    pub interval_ms: i64,
}

impl Store {
    /// Whether a server does not answer.
    pub async fn failing_destination(&self, server: &ServerName) -> Result<Option<Failing>, StoreError> {
        let sql = "-- destinations::failing
            SELECT failing_since_ms, retry_at_ms, interval_ms FROM destinations WHERE server_name = $1";
        let Some(row) = self.db().query_opt(sql, &[text(server.as_str())]).await? else {
            return Ok(None);
        };
        read(&row).map(Some)
    }

    /// The servers that do not answer, by name, at most `limit`.
    pub async fn failing_destinations(&self, limit: i64) -> Result<Vec<(OwnedServerName, Failing)>, StoreError> {
        let sql = "-- destinations::all
            SELECT failing_since_ms, retry_at_ms, interval_ms, server_name FROM destinations ORDER BY server_name LIMIT $1";
        let rows = self.db().query(sql, &[limit.int()]).await?;
        let read_one = |row: &DbRow| {
            let server = ServerName::parse(row.text(3)?);
            let server = server.map_err(|error| StoreError::corrupt("destinations", error.to_string()))?;
            Ok((server, read(row)?))
        };
        rows.iter().map(read_one).collect()
    }

    /// Notes that a server did not answer. Of several that find so at once, the first counts.
    pub async fn note_failing_destination(
        &self,
        server: &ServerName,
        failing: &Failing,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let sql = "-- destinations::note
            INSERT INTO destinations (server_name, failing_since_ms, retry_at_ms, interval_ms) VALUES ($1, $2, $3, $4)
            ON CONFLICT (server_name) DO UPDATE SET retry_at_ms = excluded.retry_at_ms, interval_ms = excluded.interval_ms
            WHERE destinations.retry_at_ms <= $5";
        let params = [
            text(server.as_str()),
            failing.since_ms.int(),
            failing.retry_at_ms.int(),
            failing.interval_ms.int(),
            now_ms.int(),
        ];
        self.db().execute(statement(sql, params)).await?;
        Ok(())
    }

    /// Notes that a server answers again.
    pub async fn forget_failing_destination(&self, server: &ServerName) -> Result<(), StoreError> {
        let sql = "-- destinations::forget
            DELETE FROM destinations WHERE server_name = $1";
        self.db().execute(statement(sql, [text(server.as_str())])).await?;
        Ok(())
    }
}

fn read(row: &DbRow) -> Result<Failing, StoreError> {
    Ok(Failing {
        since_ms: row.int(0)?,
        retry_at_ms: row.int(1)?,
        interval_ms: row.int(2)?,
    })
}

//! Table `received_transactions`: transactions of other servers that have been taken, and what they were answered. Free.

use bytes::Bytes;
use ruma::ServerName;

use crate::{
    Store, StoreError,
    db::{Database, Value},
    sql::{Int as _, bytes, statement, text},
};

/// Removes transactions that were taken before a time, at most `limit`. How many those were.
pub async fn prune(db: &Database, before_ms: i64, limit: i64) -> Result<u64, StoreError> {
    let sql = "-- received_transactions::prune
        DELETE FROM received_transactions WHERE (server_name, transaction_id) IN (
            SELECT server_name, transaction_id FROM received_transactions WHERE received_ms < $1 ORDER BY received_ms LIMIT $2)";
    Ok(db.execute(statement(sql, [before_ms.int(), limit.int()])).await?)
}

impl Store {
    /// What a transaction was answered, if it has been taken.
    pub async fn received_transaction(&self, origin: &ServerName, id: &str) -> Result<Option<Bytes>, StoreError> {
        let sql = "-- received_transactions::answer
            SELECT answer FROM received_transactions WHERE server_name = $1 AND transaction_id = $2";
        let row = self.db().query_opt(sql, &[text(origin.as_str()), text(id)]).await?;
        Ok(row.map(|row| row.bytes(0)).transpose()?)
    }

    /// Notes what a transaction is answered. Another process may have taken it at the same time: what it answered is what comes back then.
    pub async fn note_received_transaction(
        &self,
        origin: &ServerName,
        id: &str,
        received_ms: i64,
        answer: Bytes,
    ) -> Result<Bytes, StoreError> {
        let sql = "-- received_transactions::note
            INSERT INTO received_transactions (server_name, transaction_id, received_ms, answer) VALUES ($1, $2, $3, $4)
            ON CONFLICT (server_name, transaction_id) DO NOTHING";
        let params: [Value; 4] = [text(origin.as_str()), text(id), received_ms.int(), bytes(&answer)];
        if self.db().execute(statement(sql, params)).await? == 1 {
            return Ok(answer);
        }
        Ok(self.received_transaction(origin, id).await?.unwrap_or(answer))
    }
}

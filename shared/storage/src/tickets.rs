//! Table `tickets`: what is given out to be shown again within a time. Free: any process gives one, any other takes it back.
//!
//! Interactive authentication, nonces, login tokens and `OpenID` tokens are tickets. Only the hash of what a client shows is stored.

use bytes::Bytes;

use crate::{
    Store, StoreError,
    db::{Database, Value},
    sql::{Int as _, bytes, statement},
};

/// SHA-256 of what the client shows, and of what kind it is.
pub type TicketHash = [u8; 32];

/// Most tickets; when there are more, those that would expire first are removed.
pub const TICKETS_MAX: i64 = 200_000;

/// Most tickets that one [`prune`] removes, so that no transaction gets long.
const PRUNED_AT_ONCE_MAX: i64 = 5_000;

/// Removes tickets that have expired or are too many, at most some thousands at once. Says how many.
pub async fn prune(db: &Database, now_ms: i64) -> Result<u64, StoreError> {
    let sql = "-- tickets::last_kept
        SELECT expires_ms FROM tickets ORDER BY expires_ms DESC LIMIT 1 OFFSET $1";
    let too_many = db.query_opt(sql, &[TICKETS_MAX.int()]).await?;
    let up_to = match too_many {
        Some(row) => row.int(0)?.max(now_ms),
        None => now_ms,
    };
    let sql = "-- tickets::prune
        DELETE FROM tickets WHERE ticket_hash IN
        (SELECT ticket_hash FROM tickets WHERE expires_ms <= $1 ORDER BY expires_ms LIMIT $2)";
    let params = [up_to.int(), PRUNED_AT_ONCE_MAX.int()];
    Ok(db.execute(statement(sql, params)).await?)
}

impl Store {
    /// Notes that a ticket was given out.
    pub async fn insert_ticket(&self, hash: &TicketHash, expires_ms: i64, body: &[u8]) -> Result<(), StoreError> {
        let sql = "-- tickets::insert
            INSERT INTO tickets (ticket_hash, expires_ms, body) VALUES ($1, $2, $3) ON CONFLICT (ticket_hash) DO NOTHING";
        let params: [Value; 3] = [bytes(hash), expires_ms.int(), bytes(body)];
        self.db().execute(statement(sql, params)).await?;
        Ok(())
    }

    /// What was noted with a ticket that has not expired.
    pub async fn ticket(&self, hash: &TicketHash, now_ms: i64) -> Result<Option<Bytes>, StoreError> {
        let sql = "-- tickets::ticket
            SELECT body FROM tickets WHERE ticket_hash = $1 AND expires_ms > $2";
        let row = self.db().query_opt(sql, &[bytes(hash), now_ms.int()]).await?;
        Ok(row.map(|row| row.bytes(0)).transpose()?)
    }

    /// Notes something else with a ticket, if what was noted is still `old`. False if somebody was faster.
    pub async fn update_ticket(&self, hash: &TicketHash, old: &[u8], new: &[u8]) -> Result<bool, StoreError> {
        let sql = "-- tickets::update
            UPDATE tickets SET body = $3 WHERE ticket_hash = $1 AND body = $2";
        let params: [Value; 3] = [bytes(hash), bytes(old), bytes(new)];
        Ok(self.db().execute(statement(sql, params)).await? == 1)
    }

    /// Takes a ticket back, and gives what was noted with it, to one of those who ask only.
    pub async fn take_ticket(&self, hash: &TicketHash, now_ms: i64) -> Result<Option<Bytes>, StoreError> {
        let Some(body) = self.ticket(hash, now_ms).await? else {
            return Ok(None);
        };
        let sql = "-- tickets::take
            DELETE FROM tickets WHERE ticket_hash = $1";
        let taken = self.db().execute(statement(sql, [bytes(hash)])).await? == 1;
        Ok(taken.then_some(body))
    }
}

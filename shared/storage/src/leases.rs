//! Who leads each chain of the log, by lease. Free.
//!
//! Times are the database's, so the processes' clocks need not agree. A lease only says who may try: that no deposed leader commits is held by the
//! compare-and-swap on `log_head`.

use plexus_core::position::{Epoch, WriterId};

use crate::db::{Database, DbError, Statement};

/// A lease that has not run out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The leader's term.
    pub epoch: Epoch,
    /// Who it is: unique to one run of one process.
    pub holder: String,
    /// When it ends, on the database's clock.
    pub expires_ms: i64,
}

/// Takes the lease in a new epoch if it has run out, or is the holder's own. Nothing if somebody else has it.
///
/// `holder` must be unique to one run of one process.
pub async fn acquire(db: &Database, writer: WriterId, holder: &str, ttl_ms: i64) -> Result<Option<Epoch>, DbError> {
    let sql = "-- leases::acquire\n\
        INSERT INTO leases (writer, epoch, holder, expires_ms) VALUES ($1, 1, $2, now_ms() + $3)\n\
        ON CONFLICT (writer) DO UPDATE SET epoch = leases.epoch + 1, holder = excluded.holder, expires_ms = excluded.expires_ms\n\
        WHERE leases.expires_ms <= now_ms() OR leases.holder = excluded.holder";
    let params = [code(writer), holder.into(), ttl_ms.into()];
    if db.execute(Statement::new(sql, params)).await? == 0 {
        return Ok(None);
    }
    let sql = "-- leases::epoch\nSELECT epoch FROM leases WHERE writer = $1 AND holder = $2";
    let row = db.query_opt(sql, &[code(writer), holder.into()]).await?;
    row.map(|row| row.int(0)).transpose()
}

/// Prolongs the holder's lease. False if it has run out or is somebody else's: he must step down.
pub async fn renew(db: &Database, writer: WriterId, holder: &str, epoch: Epoch, ttl_ms: i64) -> Result<bool, DbError> {
    let sql = "-- leases::renew\n\
        UPDATE leases SET expires_ms = now_ms() + $4\n\
        WHERE writer = $1 AND holder = $2 AND epoch = $3 AND expires_ms > now_ms()";
    let params = [code(writer), holder.into(), epoch.into(), ttl_ms.into()];
    Ok(db.execute(Statement::new(sql, params)).await? == 1)
}

/// Ends the holder's lease, so that the next leader need not wait for it to run out. False if it was not his any more.
pub async fn release(db: &Database, writer: WriterId, holder: &str, epoch: Epoch) -> Result<bool, DbError> {
    let sql = "-- leases::release\n\
        UPDATE leases SET expires_ms = 0 WHERE writer = $1 AND holder = $2 AND epoch = $3";
    let params = [code(writer), holder.into(), epoch.into()];
    Ok(db.execute(Statement::new(sql, params)).await? == 1)
}

/// Who leads the chain now, if anybody.
pub async fn leader(db: &Database, writer: WriterId) -> Result<Option<Lease>, DbError> {
    let sql = "-- leases::leader\n\
        SELECT epoch, holder, expires_ms FROM leases WHERE writer = $1 AND expires_ms > now_ms()";
    let Some(row) = db.query_opt(sql, &[code(writer)]).await? else {
        return Ok(None);
    };
    Ok(Some(Lease {
        epoch: row.int(0)?,
        holder: row.text(1)?.to_owned(),
        expires_ms: row.int(2)?,
    }))
}

fn code(writer: WriterId) -> crate::db::Value {
    i64::from(writer.0).into()
}

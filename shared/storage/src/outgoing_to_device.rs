//! Table `outgoing_to_device`: messages to devices of other servers' users, until their server has them.

use bytes::Bytes;
use plexus_core::{ids::UserNid, position::Sequence};
use ruma::ServerName;

use crate::{
    Store, StoreError,
    db::{Statement, Value},
    sql::{Int as _, bytes, one_row, statement, text},
};

/// Most rows that wait for one server. A server that is away for so long loses the oldest.
pub const WAITING_MAX: i64 = 20_000;

/// Most places that are read at once: what has come since the rows were last counted is among them.
const PLACES_MAX: i64 = 2 * WAITING_MAX;

/// Messages that go to one server together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMessages {
    /// Their place in the log.
    pub position: Sequence,
    /// Who sent them.
    pub sender: UserNid,
    /// The event type.
    pub kind: String,
    /// What tells them apart from others, so that their server takes them once.
    pub message_id: String,
    /// Contents by user and device, as JSON.
    pub messages: Bytes,
}

/// Queues messages for a server.
pub fn insert(
    server: &ServerName,
    position: Value,
    sender: UserNid,
    kind: &str,
    (message_id, messages): (&str, &[u8]),
) -> Statement {
    one_row(
        "-- outgoing_to_device::insert
        INSERT INTO outgoing_to_device (server, position, sender_nid, kind, message_id, messages) VALUES ($1, $2, $3, $4, $5, $6)",
        [
            text(server.as_str()),
            position,
            sender.int(),
            text(kind),
            text(message_id),
            bytes(messages),
        ],
    )
}

impl Store {
    /// What waits for a server in (after, `up_to`], oldest first, at most `limit`.
    pub async fn outgoing_to_device(
        &self,
        server: &ServerName,
        after: Sequence,
        up_to: Sequence,
        limit: i64,
    ) -> Result<Vec<OutgoingMessages>, StoreError> {
        let sql = "-- outgoing_to_device::waiting
            SELECT position, sender_nid, kind, message_id, messages FROM outgoing_to_device
            WHERE server = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4";
        let params = [text(server.as_str()), after.int(), up_to.int(), limit.int()];
        let rows = self.db().query(sql, &params).await?;
        rows.iter()
            .map(|row| {
                Ok(OutgoingMessages {
                    position: row.int(0)?,
                    sender: UserNid(row.int(1)?),
                    kind: row.text(2)?.to_owned(),
                    message_id: row.text(3)?.to_owned(),
                    messages: row.bytes(4)?,
                })
            })
            .collect()
    }

    /// The places of what waits for a server up to a place, oldest first.
    pub async fn outgoing_to_device_places(
        &self,
        server: &ServerName,
        up_to: Sequence,
    ) -> Result<Vec<Sequence>, StoreError> {
        let sql = "-- outgoing_to_device::places
            SELECT position FROM outgoing_to_device WHERE server = $1 AND position <= $2 ORDER BY position LIMIT $3";
        let params = [text(server.as_str()), up_to.int(), PLACES_MAX.int()];
        let rows = self.db().query(sql, &params).await?;
        rows.iter().map(|row| Ok(row.int(0)?)).collect()
    }

    /// Removes what was at these places: the server has it.
    pub async fn forget_outgoing_to_device(
        &self,
        server: &ServerName,
        positions: Vec<Sequence>,
    ) -> Result<(), StoreError> {
        let delete = statement(
            "-- outgoing_to_device::delete
            DELETE FROM outgoing_to_device WHERE server = $1 AND position = ANY($2)",
            [text(server.as_str()), Value::Ints(positions)],
        );
        self.db().execute(delete).await?;
        Ok(())
    }

    /// Removes what is too much for a server that is not there; how many rows that were.
    pub async fn bound_outgoing_to_device(&self, server: &ServerName) -> Result<u64, StoreError> {
        let delete = statement(
            "-- outgoing_to_device::bound
            DELETE FROM outgoing_to_device WHERE server = $1 AND position <= (
                SELECT position FROM outgoing_to_device WHERE server = $1 ORDER BY position DESC LIMIT 1 OFFSET $2)",
            [text(server.as_str()), WAITING_MAX.int()],
        );
        Ok(self.db().execute(delete).await?)
    }
}

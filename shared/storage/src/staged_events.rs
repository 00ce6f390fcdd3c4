//! Tables `staged_events` and `staged_rooms`: events of other servers that wait for those they refer to. Free.

use plexus_core::{event::EventBody, ids::RoomNid};
use ruma::{EventId, OwnedServerName, ServerName};

use crate::{
    Store, StoreError,
    rooms::RoomInfo,
    sql::{Int as _, bytes, statement, text},
};

/// Most events that wait in one room.
pub const STAGED_PER_ROOM_MAX: i64 = 1_000;
/// Most of them that one server has brought.
pub const STAGED_PER_ORIGIN_MAX: i64 = 300;

/// An event that waits.
#[derive(Clone, Debug)]
pub struct StagedEvent {
    /// Who has brought it.
    pub origin: OwnedServerName,
    /// When it is time to try again to fetch what it needs.
    pub retry_at_ms: i64,
    /// How often that was tried in vain.
    pub attempts: i64,
    /// The event. It was verified when it came.
    pub event: EventBody,
}

impl Store {
    /// Lets an event wait, durably once this returns. False if too many do already.
    pub async fn stage_event(
        &self,
        room: RoomNid,
        origin: &ServerName,
        event: &EventBody,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let stage = statement(
            "-- staged_events::stage
            INSERT INTO staged_events (room_nid, event_id, origin, staged_ms, retry_at_ms, attempts, json)
            SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT), 0, 0, CAST($5 AS BYTEA)
            WHERE (SELECT COUNT(*) FROM staged_events WHERE room_nid = $1) < $6
                AND (SELECT COUNT(*) FROM staged_events WHERE room_nid = $1 AND origin = $3) < $7
            ON CONFLICT (room_nid, event_id) DO NOTHING",
            [
                room.int(),
                text(event.event_id().as_str()),
                text(origin.as_str()),
                now_ms.int(),
                bytes(event.json().as_bytes()),
                STAGED_PER_ROOM_MAX.int(),
                STAGED_PER_ORIGIN_MAX.int(),
            ],
        );
        Ok(self.db().execute(stage).await? == 1 || self.is_staged(room, event.event_id()).await?)
    }

    async fn is_staged(&self, room: RoomNid, event_id: &EventId) -> Result<bool, StoreError> {
        let sql = "-- staged_events::is_staged
            SELECT 1 FROM staged_events WHERE room_nid = $1 AND event_id = $2";
        let row = self.db().query_opt(sql, &[room.int(), text(event_id.as_str())]).await?;
        Ok(row.is_some())
    }

    /// The events that wait in a room, those whose time it is first, at most `limit`.
    pub async fn staged_events(&self, room: &RoomInfo, limit: i64) -> Result<Vec<StagedEvent>, StoreError> {
        let sql = "-- staged_events::of_room
            SELECT event_id, origin, retry_at_ms, attempts, json FROM staged_events
            WHERE room_nid = $1 ORDER BY retry_at_ms, staged_ms, event_id LIMIT $2";
        let rows = self.db().query(sql, &[room.nid.int(), limit.int()]).await?;
        let corrupt = |error: &dyn std::fmt::Display| StoreError::corrupt("staged_events", error.to_string());
        rows.iter()
            .map(|row| {
                let event_id = EventId::parse(row.text(0)?).map_err(|error| corrupt(&error))?;
                let event = EventBody::load(event_id, room.version.rules(), row.bytes(4)?.into());
                Ok(StagedEvent {
                    origin: row.text(1)?.try_into().map_err(|error| corrupt(&error))?,
                    retry_at_ms: row.int(2)?,
                    attempts: row.int(3)?,
                    event: event.map_err(|error| corrupt(&error))?,
                })
            })
            .collect()
    }

    /// An event need not wait any more. Whether it did.
    pub async fn unstage_event(&self, room: RoomNid, event_id: &EventId) -> Result<bool, StoreError> {
        let sql = "-- staged_events::unstage
            DELETE FROM staged_events WHERE room_nid = $1 AND event_id = $2";
        let params = [room.int(), text(event_id.as_str())];
        Ok(self.db().execute(statement(sql, params)).await? > 0)
    }

    /// Nothing waits in a room any more.
    pub async fn unstage_all(&self, room: RoomNid) -> Result<(), StoreError> {
        let sql = "-- staged_events::unstage_all
            DELETE FROM staged_events WHERE room_nid = $1";
        self.db().execute(statement(sql, [room.int()])).await?;
        Ok(())
    }

    /// What an event needs was tried to fetch in vain: until when it waits now.
    pub async fn postpone_staged_event(
        &self,
        room: RoomNid,
        event_id: &EventId,
        retry_at_ms: i64,
    ) -> Result<(), StoreError> {
        let sql = "-- staged_events::postpone
            UPDATE staged_events SET retry_at_ms = $3, attempts = attempts + 1 WHERE room_nid = $1 AND event_id = $2";
        let params = [room.int(), text(event_id.as_str()), retry_at_ms.int()];
        self.db().execute(statement(sql, params)).await?;
        Ok(())
    }

    /// Rooms with events whose time it is and on which nobody works, by the `limit` events whose time it has been for longest.
    pub async fn staged_rooms_due(&self, now_ms: i64, limit: i64) -> Result<Vec<RoomNid>, StoreError> {
        let sql = "-- staged_events::rooms_due
            SELECT e.room_nid FROM staged_events e WHERE e.retry_at_ms <= $1
                AND NOT EXISTS (SELECT 1 FROM staged_rooms r WHERE r.room_nid = e.room_nid AND r.taken_until_ms > $1)
            ORDER BY e.retry_at_ms LIMIT $2";
        let rows = self.db().query(sql, &[now_ms.int(), limit.int()]).await?;
        let rooms = rows.iter().map(|row| Ok(RoomNid(row.int(0)?)));
        let mut rooms = rooms.collect::<Result<Vec<_>, StoreError>>()?;
        rooms.sort_unstable();
        rooms.dedup();
        Ok(rooms)
    }

    /// Takes a room on until a time. False if somebody else works on it.
    pub async fn take_staged_room(&self, room: RoomNid, now_ms: i64, until_ms: i64) -> Result<bool, StoreError> {
        let sql = "-- staged_events::take_room
            INSERT INTO staged_rooms (room_nid, taken_until_ms) VALUES ($1, $3)
            ON CONFLICT (room_nid) DO UPDATE SET taken_until_ms = excluded.taken_until_ms
            WHERE staged_rooms.taken_until_ms <= $2";
        let params = [room.int(), now_ms.int(), until_ms.int()];
        Ok(self.db().execute(statement(sql, params)).await? > 0)
    }

    /// Gives a room back that was taken until a time.
    pub async fn give_back_staged_room(&self, room: RoomNid, until_ms: i64) -> Result<(), StoreError> {
        let sql = "-- staged_events::give_back_room
            DELETE FROM staged_rooms WHERE room_nid = $1 AND taken_until_ms = $2";
        self.db().execute(statement(sql, [room.int(), until_ms.int()])).await?;
        Ok(())
    }
}

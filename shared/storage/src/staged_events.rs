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
    /// The event. It was verified when it came.
    pub event: EventBody,
}

/// A room with events that wait, as the one sees it who has taken it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StagedRoom {
    /// How often it was tried in vain since something last went well.
    pub attempts: i64,
    /// How many events have come.
    pub staged: i64,
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
        // The room's row first: whoever wants to remove it waits until the event is there.
        let note_room = statement(
            "-- staged_events::note_room
            INSERT INTO staged_rooms (room_nid, retry_at_ms, attempts, staged) VALUES ($1, 0, 0, 1)
            ON CONFLICT (room_nid) DO UPDATE SET staged = staged_rooms.staged + 1",
            [room.int()],
        );
        let stage = statement(
            "-- staged_events::stage
            INSERT INTO staged_events (room_nid, event_id, origin, staged_ms, json)
            SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($5 AS BYTEA)
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
        let touched = self.db().transaction(vec![note_room, stage]).await?;
        Ok(touched.last() == Some(&1) || self.is_staged(room, event.event_id()).await?)
    }

    async fn is_staged(&self, room: RoomNid, event_id: &EventId) -> Result<bool, StoreError> {
        let sql = "-- staged_events::is_staged
            SELECT 1 FROM staged_events WHERE room_nid = $1 AND event_id = $2";
        let row = self.db().query_opt(sql, &[room.int(), text(event_id.as_str())]).await?;
        Ok(row.is_some())
    }

    /// The events that wait in a room, those that came first first, at most `limit`.
    pub async fn staged_events(&self, room: &RoomInfo, limit: i64) -> Result<Vec<StagedEvent>, StoreError> {
        let sql = "-- staged_events::of_room
            SELECT event_id, origin, json FROM staged_events WHERE room_nid = $1 ORDER BY staged_ms, event_id LIMIT $2";
        let rows = self.db().query(sql, &[room.nid.int(), limit.int()]).await?;
        let corrupt = |error: &dyn std::fmt::Display| StoreError::corrupt("staged_events", error.to_string());
        rows.iter()
            .map(|row| {
                let event_id = EventId::parse(row.text(0)?).map_err(|error| corrupt(&error))?;
                let event = EventBody::load(event_id, room.version.rules(), row.bytes(2)?.into());
                Ok(StagedEvent {
                    origin: row.text(1)?.try_into().map_err(|error| corrupt(&error))?,
                    event: event.map_err(|error| corrupt(&error))?,
                })
            })
            .collect()
    }

    /// An event need not wait any more.
    pub async fn unstage_event(&self, room: RoomNid, event_id: &EventId) -> Result<(), StoreError> {
        let sql = "-- staged_events::unstage
            DELETE FROM staged_events WHERE room_nid = $1 AND event_id = $2";
        let params = [room.int(), text(event_id.as_str())];
        self.db().execute(statement(sql, params)).await?;
        Ok(())
    }

    /// Nothing waits in a room any more.
    pub async fn unstage_all(&self, room: RoomNid) -> Result<(), StoreError> {
        let sql = "-- staged_events::unstage_all
            DELETE FROM staged_events WHERE room_nid = $1";
        self.db().execute(statement(sql, [room.int()])).await?;
        Ok(())
    }

    /// Rooms whose events it is time to look after, those that have waited longest first.
    pub async fn staged_rooms_due(&self, now_ms: i64, limit: i64) -> Result<Vec<RoomNid>, StoreError> {
        let sql = "-- staged_events::rooms_due
            SELECT room_nid FROM staged_rooms WHERE retry_at_ms <= $1 ORDER BY retry_at_ms LIMIT $2";
        let rows = self.db().query(sql, &[now_ms.int(), limit.int()]).await?;
        rows.iter().map(|row| Ok(RoomNid(row.int(0)?))).collect()
    }

    /// Takes a room on until a time, if it is due and nobody else has.
    pub async fn take_staged_room(
        &self,
        room: RoomNid,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<Option<StagedRoom>, StoreError> {
        let sql = "-- staged_events::take_room
            UPDATE staged_rooms SET retry_at_ms = $3 WHERE room_nid = $1 AND retry_at_ms <= $2";
        let params = [room.int(), now_ms.int(), until_ms.int()];
        if self.db().execute(statement(sql, params)).await? == 0 {
            return Ok(None);
        }
        let sql = "-- staged_events::room
            SELECT attempts, staged FROM staged_rooms WHERE room_nid = $1";
        let row = self.db().query_opt(sql, &[room.int()]).await?;
        row.map(|row| {
            Ok(StagedRoom {
                attempts: row.int(0)?,
                staged: row.int(1)?,
            })
        })
        .transpose()
    }

    /// Gives a room back, to be tried again.
    pub async fn give_back_staged_room(
        &self,
        room: RoomNid,
        retry_at_ms: i64,
        attempts: i64,
    ) -> Result<(), StoreError> {
        let sql = "-- staged_events::give_back_room
            UPDATE staged_rooms SET retry_at_ms = $2, attempts = $3 WHERE room_nid = $1";
        let params = [room.int(), retry_at_ms.int(), attempts.int()];
        self.db().execute(statement(sql, params)).await?;
        Ok(())
    }

    /// Forgets a room in which nothing waits, unless more has come than the caller has seen. Whether it is forgotten.
    pub async fn forget_staged_room(&self, room: RoomNid, seen: i64) -> Result<bool, StoreError> {
        let sql = "-- staged_events::forget_room
            DELETE FROM staged_rooms WHERE room_nid = $1 AND staged = $2";
        let params = [room.int(), seen.int()];
        Ok(self.db().execute(statement(sql, params)).await? > 0)
    }
}

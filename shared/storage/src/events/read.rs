//! Reading events.

use std::{collections::HashMap, sync::Arc};

use plexus_core::{
    event::EventBody,
    ids::{EventNid, NodeId, RoomNid, StateKeyNid, UserNid},
    position::Sequence,
    row::{EventStatus, Transaction},
};
use ruma::EventId;

use super::{
    StoredEvent, event_id_bytes,
    graph::decode_nids,
    id::{possible_event_id_bytes, read_event_id},
};
use crate::{
    Store, StoreError,
    db::{DbRow, Value},
    rooms::RoomInfo,
    sql::Int as _,
};

/// Most events one query asks for by number.
pub(super) const EVENTS_PER_QUERY_MAX: usize = 500;

/// Most events one read of a timeline gives.
pub const EVENTS_PER_PAGE_MAX: usize = 1_000;

/// Which way to go in a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To older events.
    Backward,
    /// To newer events.
    Forward,
}

impl Store {
    /// An event by number.
    pub async fn event(&self, event: EventNid) -> Result<Option<Arc<StoredEvent>>, StoreError> {
        if let Some(event) = self.caches().events.get(event) {
            return Ok(Some(event));
        }
        match self.events(&[event]).await {
            Ok(mut events) => Ok(events.pop()),
            Err(StoreError::MissingEvent(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Events by number, in the order asked for. All of them have to be there: whoever has a number has it from a table that refers to the event.
    pub async fn events(&self, nids: &[EventNid]) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        let cache = &self.caches().events;
        let mut found: Vec<_> = nids.iter().map(|nid| cache.get(*nid)).collect();
        let mut missing: Vec<i64> = nids
            .iter()
            .zip(&found)
            .filter(|(_, kept)| kept.is_none())
            .map(|(nid, _)| nid.0)
            .collect();
        if !missing.is_empty() {
            missing.sort_unstable();
            missing.dedup();
            let mut loaded = HashMap::with_capacity(missing.len());
            for chunk in missing.chunks(EVENTS_PER_QUERY_MAX) {
                let sql = "-- events::events
                    SELECT event_nid, event_id, room_nid, position, room_order, sender_nid, state_key_nid, state_before, room_root, redacted_by,
                        transaction_device, transaction_id, json, notifying, status, state_after, auth_parents
                    FROM events WHERE event_nid = ANY($1)";
                let events = self.load_events(sql, &[Value::Ints(chunk.to_vec())]).await?;
                loaded.extend(events.into_iter().map(|event| (event.nid, event)));
            }
            for (nid, place) in nids.iter().zip(&mut found).filter(|(_, place)| place.is_none()) {
                *place = loaded.get(nid).cloned();
            }
        }
        nids.iter()
            .zip(found)
            .map(|(nid, event)| event.ok_or(StoreError::MissingEvent(*nid)))
            .collect()
    }

    /// Events by number, in the order asked for, without those that have been purged meanwhile.
    pub async fn events_there(&self, nids: &[EventNid]) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        match self.events(nids).await {
            Err(StoreError::MissingEvent(_)) => {}
            all => return all,
        }
        let mut found = Vec::with_capacity(nids.len());
        for event in nids {
            found.extend(self.event(*event).await?);
        }
        Ok(found)
    }

    /// The number of the event with this id, if it is part of this room's history, or an outlier that may be part of its state.
    pub async fn event_nid(&self, room: RoomNid, event_id: &EventId) -> Result<Option<EventNid>, StoreError> {
        let Some(info) = self.room_by_nid(room).await? else {
            return Ok(None);
        };
        let Some(id) = event_id_bytes(info.version, event_id) else {
            return Ok(None);
        };
        let sql = "-- events::event_nid
            SELECT event_nid FROM events WHERE event_id = $1 AND room_nid = $2 AND status IN (0, 3)";
        let row = self.db().query_opt(sql, &[Value::Bytes(id), room.int()]).await?;
        Ok(row.map(|row| row.int(0)).transpose()?.map(EventNid))
    }

    /// The event with this id, in whichever room's history or state it may be.
    pub async fn find_event(&self, event_id: &EventId) -> Result<Option<Arc<StoredEvent>>, StoreError> {
        for id in possible_event_id_bytes(event_id) {
            let sql = "-- events::find_event
                SELECT event_nid FROM events WHERE event_id = $1 AND status IN (0, 3)";
            let Some(row) = self.db().query_opt(sql, &[Value::Bytes(id)]).await? else {
                continue;
            };
            let found = self.event(EventNid(row.int(0)?)).await?;
            // The same bytes are two texts in two versions.
            if let Some(event) = found.filter(|event| event.body.event_id() == event_id) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Events of a timeline in the order of the timeline, at most `limit` and [`EVENTS_PER_PAGE_MAX`].
    ///
    /// `from` is the place right after the event with that `room_order`: backward gives that event and older ones, newest first; forward gives the
    /// events after it, oldest first. So the place to go on from is `room_order - 1` of the last event backward, and `room_order` of it forward.
    pub async fn page(
        &self,
        room: RoomNid,
        from: i64,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        let sql = match direction {
            Direction::Backward => {
                "-- events::page_backward
                SELECT event_nid, event_id, room_nid, position, room_order, sender_nid, state_key_nid, state_before, room_root, redacted_by,
                    transaction_device, transaction_id, json, notifying, status, state_after, auth_parents
                FROM events WHERE room_nid = $1 AND room_order <= $2 ORDER BY room_order DESC LIMIT $3"
            }
            Direction::Forward => {
                "-- events::page_forward
                SELECT event_nid, event_id, room_nid, position, room_order, sender_nid, state_key_nid, state_before, room_root, redacted_by,
                    transaction_device, transaction_id, json, notifying, status, state_after, auth_parents
                FROM events WHERE room_nid = $1 AND room_order > $2 ORDER BY room_order LIMIT $3"
            }
        };
        self.load_events(sql, &[room.int(), from.int(), limit_value(limit)])
            .await
    }

    /// The newest events of a timeline with a position in (after, `up_to`], newest first, from the database.
    pub(crate) async fn load_events_between(
        &self,
        room: RoomNid,
        after: Sequence,
        up_to: Sequence,
        limit: usize,
    ) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        let sql = "-- events::events_between
            SELECT event_nid, event_id, room_nid, position, room_order, sender_nid, state_key_nid, state_before, room_root, redacted_by,
                transaction_device, transaction_id, json, notifying, status, state_after, auth_parents
            FROM events WHERE room_nid = $1 AND position > $2 AND position <= $3 AND room_order IS NOT NULL
            ORDER BY position DESC LIMIT $4";
        self.load_events(sql, &[room.int(), after.int(), up_to.int(), limit_value(limit)])
            .await
    }

    /// The oldest events of a timeline with a position in (after, `up_to`], oldest first, from the database.
    pub(crate) async fn load_events_after(
        &self,
        room: RoomNid,
        after: Sequence,
        up_to: Sequence,
        limit: usize,
    ) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        let sql = "-- events::events_after
            SELECT event_nid, event_id, room_nid, position, room_order, sender_nid, state_key_nid, state_before, room_root, redacted_by,
                transaction_device, transaction_id, json, notifying, status, state_after, auth_parents
            FROM events WHERE room_nid = $1 AND position > $2 AND position <= $3 AND room_order IS NOT NULL
            ORDER BY position LIMIT $4";
        self.load_events(sql, &[room.int(), after.int(), up_to.int(), limit_value(limit)])
            .await
    }

    /// The room's state after its last event up to `up_to`, from the database.
    pub(crate) async fn load_room_root_at(&self, room: RoomNid, up_to: Sequence) -> Result<Option<NodeId>, StoreError> {
        let sql = "-- events::room_root_at
            SELECT room_root FROM events WHERE room_nid = $1 AND position > 0 AND position <= $2 AND room_order IS NOT NULL
            ORDER BY position DESC LIMIT 1";
        let row = self.db().query_opt(sql, &[room.int(), up_to.int()]).await?;
        Ok(row.map(|row| row.int(0)).transpose()?.map(NodeId))
    }

    /// The newest event but for member events that a user has sent in (after, `up_to`], among the `looked_back` newest events there: its place, and how
    /// many events had notified everybody by then.
    pub async fn last_sent(
        &self,
        room: RoomNid,
        sender: UserNid,
        (after, up_to): (Sequence, Sequence),
        looked_back: i64,
    ) -> Result<Option<(Sequence, i64)>, StoreError> {
        let sql = "-- events::last_sent
            SELECT position, notifying FROM (SELECT position, sender_nid, state_key_nid, notifying FROM events
                WHERE room_nid = $1 AND position > $2 AND position <= $3 AND room_order IS NOT NULL
                ORDER BY position DESC LIMIT $5) AS recent
            WHERE sender_nid = $4 AND state_key_nid IS NULL ORDER BY position DESC LIMIT 1";
        let params = [room.int(), after.int(), up_to.int(), sender.int(), looked_back.int()];
        let row = self.db().query_opt(sql, &params).await?;
        row.map(|row| Ok((row.int(0)?, row.int(1)?))).transpose()
    }

    /// Reads whole rows, and keeps them.
    async fn load_events(&self, sql: &'static str, params: &[Value]) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        let cache = &self.caches().events;
        let redactions = cache.redactions();
        let rows = self.db().query(sql, params).await?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            let room = RoomNid(row.int(2)?);
            let info = self.room_by_nid(room).await?;
            let info = info.ok_or_else(|| StoreError::corrupt("events", format!("room {} is not in rooms", room.0)))?;
            events.push(Arc::new(read(row, &info)?));
        }
        cache.keep(&mut events, redactions);
        Ok(events)
    }
}

fn limit_value(limit: usize) -> Value {
    Value::Int(i64::try_from(limit.min(EVENTS_PER_PAGE_MAX)).unwrap_or(i64::MAX))
}

fn read(row: &DbRow, room: &RoomInfo) -> Result<StoredEvent, StoreError> {
    let nid = EventNid(row.int(0)?);
    let event_id = read_event_id(room.version, &row.bytes(1)?)?;
    let transaction = match (row.opt_text(10)?, row.opt_text(11)?) {
        (Some(device), Some(id)) => Some(Arc::new(Transaction {
            device: device.into(),
            id: id.to_owned(),
        })),
        _ => None,
    };
    let body = EventBody::load(event_id, room.version.rules(), row.bytes(12)?.into())
        .map_err(|source| StoreError::Event { event: nid, source })?;
    let status = row.int(14)?;
    let room_root = row.int(8)?;
    Ok(StoredEvent {
        nid,
        room: room.nid,
        position: row.int(3)?,
        room_order: row.opt_int(4)?,
        sender: UserNid(row.int(5)?),
        state_key: row.opt_int(6)?.map(StateKeyNid),
        status: EventStatus::from_code(status)
            .ok_or_else(|| StoreError::corrupt("events", format!("status {status}")))?,
        state_before: NodeId(row.int(7)?),
        state_after: NodeId(row.opt_int(15)?.unwrap_or(room_root)),
        room_root: NodeId(room_root),
        auth_parents: row.opt_bytes(16)?.map(|nids| decode_nids(&nids)).transpose()?,
        notifying: row.int(13)?,
        redacted_by: row.opt_int(9)?.map(EventNid),
        transaction,
        body: Arc::new(body),
    })
}

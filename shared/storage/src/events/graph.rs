//! What the graph of a room's events is made of: which events allow which, and what is known by id whatever became of it.

use std::{collections::HashMap, sync::Arc};

use plexus_core::{
    event::limits::MAX_AUTH_EVENTS,
    ids::{EventNid, RoomNid},
    room_version::RoomVersion,
    varint,
};
use ruma::{EventId, OwnedEventId};

use super::{
    StoredEvent, event_id_bytes,
    id::{apart, possible_event_id_bytes, read_event_id},
    read::EVENTS_PER_QUERY_MAX,
};
use crate::{Store, StoreError, db::Value, rooms::RoomInfo, sql::Int as _};

/// Numbers as the column holds them: ascending, each as the distance from the one before.
pub(super) fn encode_nids(nids: &[EventNid]) -> Vec<u8> {
    let mut sorted: Vec<u64> = nids.iter().map(|nid| nid.0.cast_unsigned()).collect();
    sorted.sort_unstable();
    let mut out = Vec::with_capacity(sorted.len() * 4);
    let mut before = 0;
    for nid in sorted {
        varint::put(&mut out, nid - before);
        before = nid;
    }
    out
}

/// Reads what [`encode_nids`] wrote.
pub(super) fn decode_nids(mut bytes: &[u8]) -> Result<Arc<[EventNid]>, StoreError> {
    let corrupt = || StoreError::corrupt("events", "auth_parents".to_owned());
    let mut nids = Vec::new();
    let mut before = 0_u64;
    while !bytes.is_empty() && nids.len() < MAX_AUTH_EVENTS {
        let distance = varint::take(&mut bytes).map_err(|_| corrupt())?;
        before = before.checked_add(distance).ok_or_else(corrupt)?;
        nids.push(EventNid(before.cast_signed()));
    }
    if bytes.is_empty() {
        Ok(nids.into())
    } else {
        Err(corrupt())
    }
}

impl Store {
    /// The event of a room with this id, whatever became of it. For whoever decides, and not for whoever shows.
    pub async fn known_event(&self, room: RoomNid, event_id: &EventId) -> Result<Option<Arc<StoredEvent>>, StoreError> {
        let Some(info) = self.room_by_nid(room).await? else {
            return Ok(None);
        };
        let Some(id) = event_id_bytes(info.version, event_id) else {
            return Ok(None);
        };
        let cache = &self.caches().events;
        if let Some(nid) = cache.nid(room, &id)
            && let Some(event) = self.event(nid).await?
        {
            return Ok(Some(event));
        }
        let sql = "-- events::known_event
            SELECT event_nid FROM events WHERE event_id = $1 AND room_nid = $2";
        let Some(row) = self
            .db()
            .query_opt(sql, &[Value::Bytes(id.clone()), room.int()])
            .await?
        else {
            return Ok(None);
        };
        let nid = EventNid(row.int(0)?);
        cache.keep_nid(room, id, nid);
        self.event(nid).await
    }

    /// The event with this id in whichever room, whatever became of it. For whoever decides, and not for whoever shows.
    pub async fn known_event_anywhere(&self, event_id: &EventId) -> Result<Option<Arc<StoredEvent>>, StoreError> {
        for id in possible_event_id_bytes(event_id) {
            let sql = "-- events::known_event_anywhere
                SELECT event_nid FROM events WHERE event_id = $1";
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

    /// The ids of events of a room, in the order asked for. States are large, so the events themselves are not read.
    pub async fn event_ids(&self, room: &RoomInfo, nids: &[EventNid]) -> Result<Vec<OwnedEventId>, StoreError> {
        let mut ids = Vec::with_capacity(nids.len());
        for chunk in nids.chunks(EVENTS_PER_QUERY_MAX) {
            let sql = "-- events::event_ids
                SELECT event_nid, event_id FROM events WHERE event_nid = ANY($1)";
            let asked = chunk.iter().map(|nid| nid.0).collect();
            let mut found = HashMap::with_capacity(chunk.len());
            for row in self.db().query(sql, &[Value::Ints(asked)]).await? {
                found.insert(EventNid(row.int(0)?), read_event_id(room.version, &row.bytes(1)?)?);
            }
            for nid in chunk {
                let id = found.get(nid).ok_or(StoreError::MissingEvent(*nid))?;
                ids.push(id.clone());
            }
        }
        Ok(ids)
    }

    /// The number of the event with this id that is kept apart from those of its room.
    pub async fn apart_event(&self, version: RoomVersion, event_id: &EventId) -> Result<Option<EventNid>, StoreError> {
        let Some(id) = event_id_bytes(version, event_id) else {
            return Ok(None);
        };
        let sql = "-- events::apart_event
            SELECT event_nid FROM events WHERE event_id = $1";
        let row = self.db().query_opt(sql, &[Value::Bytes(apart(&id))]).await?;
        Ok(row.map(|row| row.int(0)).transpose()?.map(EventNid))
    }

    /// Whether there is an event with this id, in whichever room: in versions 1 and 2 the sender chooses it.
    pub async fn is_event_id_taken(&self, version: RoomVersion, event_id: &EventId) -> Result<bool, StoreError> {
        let Some(id) = event_id_bytes(version, event_id) else {
            return Ok(false);
        };
        let sql = "-- events::is_event_id_taken
            SELECT event_nid FROM events WHERE event_id = $1";
        Ok(self.db().query_opt(sql, &[Value::Bytes(id)]).await?.is_some())
    }

    /// The numbers of the events that allow each of some state events. Auth chains are long, so the events themselves are not read.
    pub async fn auth_parents(
        &self,
        room: RoomNid,
        nids: &[EventNid],
    ) -> Result<HashMap<EventNid, Arc<[EventNid]>>, StoreError> {
        let mut found = HashMap::with_capacity(nids.len());
        let mut unread = Vec::new();
        for nid in nids {
            match self
                .caches()
                .events
                .get(*nid)
                .and_then(|event| event.auth_parents.clone())
            {
                Some(parents) => drop(found.insert(*nid, parents)),
                None => unread.push(nid.0),
            }
        }
        for chunk in unread.chunks(EVENTS_PER_QUERY_MAX) {
            let sql = "-- events::auth_parents
                SELECT event_nid, auth_parents FROM events WHERE event_nid = ANY($1)";
            for row in self.db().query(sql, &[Value::Ints(chunk.to_vec())]).await? {
                let nid = EventNid(row.int(0)?);
                let parents = match row.opt_bytes(1)? {
                    Some(parents) => decode_nids(&parents)?,
                    None => self.find_auth_parents(room, nid).await?,
                };
                found.insert(nid, parents);
            }
        }
        match nids.iter().find(|nid| !found.contains_key(nid)) {
            Some(nid) => Err(StoreError::MissingEvent(*nid)),
            None => Ok(found),
        }
    }

    /// Rows of an older build do not have the numbers: they are found by the ids in the event.
    async fn find_auth_parents(&self, room: RoomNid, nid: EventNid) -> Result<Arc<[EventNid]>, StoreError> {
        let event = self.event(nid).await?.ok_or(StoreError::MissingEvent(nid))?;
        let mut parents = Vec::new();
        for id in event.body.auth_events() {
            parents.extend(self.known_event(room, id).await?.map(|parent| parent.nid));
        }
        Ok(parents.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for nids in [vec![], vec![1], vec![1, 2, 127, 128, 1 << 40], vec![i64::MAX]] {
            let nids: Vec<EventNid> = nids.into_iter().map(EventNid).collect();
            assert_eq!(*decode_nids(&encode_nids(&nids)).unwrap(), *nids);
        }
        let unsorted = [EventNid(9), EventNid(4)];
        assert_eq!(
            *decode_nids(&encode_nids(&unsorted)).unwrap(),
            [EventNid(4), EventNid(9)]
        );
        for damaged in [&[0x80][..], &[0xFF; 11], &[1; 11]] {
            assert!(decode_nids(damaged).is_err());
        }
    }
}

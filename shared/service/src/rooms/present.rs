//! Events as one reader is shown them, with everything that `unsigned` tells. What is needed is read for all events of an answer at once.

use std::{collections::HashMap, sync::Arc};

use plexus_core::{
    filter::{EventFormat, Fields},
    ids::EventNid,
    position::Sequence,
};
use plexus_storage::events::StoredEvent;

use super::{
    access::{Seen, Sights},
    aggregate::{Relations, aggregate},
};
use crate::{Ctx, Requester, ServiceError, client_event::ClientEvent};

/// How the events of an answer are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style<'a> {
    /// Whether the place of an event says which room it is in.
    pub without_room_id: bool,
    pub format: EventFormat,
    pub fields: Option<&'a Fields>,
}

/// What is said of events besides what is in them.
#[derive(Debug, Default)]
pub struct Remarks {
    replaced: HashMap<EventNid, Arc<StoredEvent>>,
    redactions: HashMap<EventNid, Arc<StoredEvent>>,
    relations: Relations,
}

impl Remarks {
    /// What there is to say of events of one room. With `up_to`, what relates to them is summed up as it is there; the specification wants that in some
    /// answers and not in others, and never for state.
    pub async fn read(
        ctx: &Ctx,
        requester: &Requester,
        sights: &mut Sights<'_>,
        style: Style<'_>,
        events: &[Seen],
        up_to: Option<Sequence>,
    ) -> Result<Self, ServiceError> {
        let mut redactions = Vec::new();
        let mut replaced = Vec::new();
        for seen in events {
            redactions.extend(seen.event.redacted_by);
            if let Some(nid) = replaced_by(ctx, &seen.event).await? {
                replaced.push((seen.event.nid, nid));
            }
        }
        let mut remarks = Self::default();
        let (of, nids): (Vec<EventNid>, Vec<EventNid>) = replaced.into_iter().unzip();
        for (of, before) in of.into_iter().zip(ctx.store.events(&nids).await?) {
            // The state of a time that the reader was not there for is not told by what came after it.
            if let Some(seen) = sights.look(&before).await? {
                remarks.replaced.insert(of, seen.event);
            }
        }
        let loaded = ctx.store.events_there(&redactions).await?;
        remarks.redactions = loaded.into_iter().map(|event| (event.nid, event)).collect();
        if let Some(up_to) = up_to {
            let events: Vec<Arc<StoredEvent>> = events.iter().map(|seen| Arc::clone(&seen.event)).collect();
            remarks.relations = aggregate(ctx, requester, style, up_to, &events).await?;
        }
        Ok(remarks)
    }

    /// Appends an event.
    pub fn write(&self, ctx: &Ctx, requester: &Requester, style: Style<'_>, seen: &Seen, out: &mut Vec<u8>) {
        let event = &*seen.event;
        let redaction = event.redacted_by.and_then(|nid| self.redactions.get(&nid));
        let client_event = ClientEvent {
            with_room_id: !style.without_room_id,
            format: style.format,
            fields: style.fields,
            transaction_id: own_transaction(requester, event),
            redaction: redaction.map(AsRef::as_ref),
            replaced: self.replaced.get(&event.nid).map(AsRef::as_ref),
            membership: seen.told_membership(),
            relations: self.relations.get(&event.nid).map(Vec::as_slice),
            ..ClientEvent::new(event, ctx.clock.now_ms())
        };
        client_event.write(out);
    }

    /// Appends a JSON array of events.
    pub fn write_list<'a>(
        &self,
        ctx: &Ctx,
        requester: &Requester,
        style: Style<'_>,
        events: impl IntoIterator<Item = &'a Seen>,
        out: &mut Vec<u8>,
    ) {
        out.push(b'[');
        for (i, seen) in events.into_iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            self.write(ctx, requester, style, seen, out);
        }
        out.push(b']');
    }
}

/// The id under which this very device sent the event.
pub(super) fn own_transaction<'a>(requester: &Requester, event: &'a StoredEvent) -> Option<&'a str> {
    let transaction = event.transaction.as_ref()?;
    let is_own = event.sender == requester.user && transaction.device == requester.device_id;
    is_own.then_some(transaction.id.as_str())
}

/// The event whose state this one replaced, for a state event that was not the first.
async fn replaced_by(ctx: &Ctx, event: &StoredEvent) -> Result<Option<EventNid>, ServiceError> {
    match event.state_key {
        Some(key) => Ok(ctx.store.state_get(event.room, event.state_before, key).await?),
        None => Ok(None),
    }
}

/// State events as they are for everybody who may read the state: a JSON array.
pub(super) fn write_state(ctx: &Ctx, events: &[Arc<StoredEvent>], style: Style<'_>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, event) in events.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let client_event = ClientEvent {
            format: style.format,
            fields: style.fields,
            ..ClientEvent::new(event, ctx.clock.now_ms())
        };
        client_event.write(out);
    }
    out.push(b']');
}

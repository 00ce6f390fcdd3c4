//! What relates to an event, summed up in it: `unsigned.m.relations`.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events>. The rule is today's: edits, references and threads are summed up, in
//! pages, contexts, single events, relations, threads, searches and syncs, and the content of an edited event stays as it was.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use plexus_core::{
    event::RelationKind,
    ids::{EventNid, RoomNid},
    position::Sequence,
};
use plexus_storage::{
    events::StoredEvent,
    relations::{AGGREGATED_MAX, Aggregated},
};
use ruma::OwnedEventId;

use super::{
    access::{Seen, Sights, View, view},
    present::{Style, own_transaction},
};
use crate::{
    Ctx, Requester, ServiceError,
    client_event::{ClientEvent, write_string},
    users::ignored::ignored_by,
};

/// The JSON of `m.relations`, for each event that has any.
pub type Relations = HashMap<EventNid, Vec<u8>>;

/// Edits of an event that are looked at: an older one counts only if none of these is valid.
const EDITS_MAX: usize = 10;

/// Thread replies that are looked at for one that the reader may see.
const REPLIES_MAX: usize = 10;

/// A relation, and the event that it makes.
type Child<'a> = (Aggregated, &'a Arc<StoredEvent>);

/// What relates to one event.
#[derive(Debug, Default)]
struct Sum {
    edit: Option<Seen>,
    references: Vec<OwnedEventId>,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    latest: Seen,
    count: i64,
    participated: bool,
}

/// Sums up what relates to these events, of any rooms, as far as the requester may see it and up to a place in the log.
///
/// Costs nothing for events that this process has seen come and nothing relate to since: a live sync reads no database for this.
pub async fn aggregate(
    ctx: &Ctx,
    requester: &Requester,
    style: Style<'_>,
    up_to: Sequence,
    events: &[Arc<StoredEvent>],
) -> Result<Relations, ServiceError> {
    let sums = sum_up(ctx, requester, up_to, events).await?;
    let latest: Vec<Arc<StoredEvent>> = sums
        .values()
        .filter_map(|sum| sum.thread.as_ref())
        .map(|thread| Arc::clone(&thread.latest.event))
        .collect();
    // The last reply of a thread has its own edit. It begins no thread, so this goes no deeper.
    let replies = sum_up(ctx, requester, up_to, &latest).await?;
    let none = Relations::new();
    let write = |sums: HashMap<EventNid, Sum>, below: &Relations| -> Relations {
        sums.into_iter()
            .map(|(nid, sum)| (nid, write_sum(ctx, requester, style, &sum, below)))
            .collect()
    };
    let below = write(replies, &none);
    Ok(write(sums, &below))
}

async fn sum_up(
    ctx: &Ctx,
    requester: &Requester,
    up_to: Sequence,
    events: &[Arc<StoredEvent>],
) -> Result<HashMap<EventNid, Sum>, ServiceError> {
    let parents: HashMap<EventNid, &Arc<StoredEvent>> = events
        .iter()
        .filter(|event| event.state_key.is_none() && ctx.store.may_have_relations(event))
        .map(|event| (event.nid, event))
        .collect();
    if parents.is_empty() {
        return Ok(HashMap::new());
    }
    let nids: Vec<EventNid> = parents.keys().copied().collect();
    let mut ignored = Vec::new();
    for user_id in ignored_by(ctx, requester.user).await?.user_ids() {
        ignored.extend(ctx.store.user_nid(user_id).await?);
    }
    let found = ctx.store.aggregated(&nids, requester.user, &ignored, up_to).await?;
    let children: Vec<EventNid> = found.iter().map(|relation| relation.child).collect();
    let children = ctx.store.events_there(&children).await?;
    let by_nid: HashMap<EventNid, &Arc<StoredEvent>> = children.iter().map(|child| (child.nid, child)).collect();
    let mut by_parent: BTreeMap<(EventNid, RelationKind), Vec<Child<'_>>> = BTreeMap::new();
    for relation in found {
        let Some(&child) = by_nid.get(&relation.child) else {
            continue;
        };
        let key = (relation.parent, relation.kind);
        by_parent.entry(key).or_default().push((relation, child));
    }
    let views = views(ctx, requester, up_to, &children).await?;
    let mut sights: HashMap<RoomNid, Sights<'_>> = views
        .iter()
        .map(|(room, view)| (*room, Sights::new(ctx, requester, view)))
        .collect();
    let mut sums: HashMap<EventNid, Sum> = HashMap::new();
    for ((parent, kind), children) in by_parent {
        let Some(parent) = parents.get(&parent) else { continue };
        let Some(sights) = sights.get_mut(&parent.room) else {
            continue;
        };
        let sum = sums.entry(parent.nid).or_default();
        match kind {
            RelationKind::Replace => sum.edit = latest_edit(sights, parent, &children).await?,
            RelationKind::Reference => {
                for (_, child) in children.iter().take(AGGREGATED_MAX) {
                    if sights.sees(child).await? {
                        sum.references.push(child.body.event_id().to_owned());
                    }
                }
                // Oldest first, as they came.
                sum.references.reverse();
            }
            RelationKind::Thread => sum.thread = thread(requester, sights, parent, &children).await?,
            RelationKind::Annotation | RelationKind::Other => {}
        }
    }
    sums.retain(|_, sum| sum.edit.is_some() || !sum.references.is_empty() || sum.thread.is_some());
    Ok(sums)
}

/// What the requester may read of the rooms of these events.
async fn views(
    ctx: &Ctx,
    requester: &Requester,
    up_to: Sequence,
    events: &[Arc<StoredEvent>],
) -> Result<HashMap<RoomNid, View>, ServiceError> {
    let mut rooms: Vec<RoomNid> = events.iter().map(|event| event.room).collect();
    rooms.sort_unstable();
    rooms.dedup();
    let mut views = HashMap::with_capacity(rooms.len());
    for nid in rooms {
        let room = ctx.store.room_by_nid(nid).await?;
        let room = room.ok_or_else(|| ServiceError::internal("an event of an unknown room"))?;
        if let Some(view) = view(ctx, requester, room, up_to).await? {
            views.insert(nid, view);
        }
    }
    Ok(views)
}

/// The most recent valid edit: by time, and then by id. A redacted event has none.
async fn latest_edit(
    sights: &mut Sights<'_>,
    parent: &StoredEvent,
    edits: &[Child<'_>],
) -> Result<Option<Seen>, ServiceError> {
    if parent.redacted_by.is_some() {
        return Ok(None);
    }
    let mut edits: Vec<&Arc<StoredEvent>> = edits
        .iter()
        .map(|(_, edit)| *edit)
        .filter(|edit| parent.body.is_replaced_by(&edit.body))
        .collect();
    edits.sort_by_key(|edit| (edit.body.origin_server_ts(), edit.body.event_id()));
    for edit in edits.into_iter().rev().take(EDITS_MAX) {
        if let Some(seen) = sights.look(edit).await? {
            return Ok(Some(seen));
        }
    }
    Ok(None)
}

/// The thread that begins with an event. One that relates to another event itself begins none.
async fn thread(
    requester: &Requester,
    sights: &mut Sights<'_>,
    root: &StoredEvent,
    replies: &[Child<'_>],
) -> Result<Option<Thread>, ServiceError> {
    if root.body.relation().is_some() {
        return Ok(None);
    }
    for (relation, reply) in replies.iter().take(REPLIES_MAX) {
        if let Some(latest) = sights.look(reply).await? {
            return Ok(Some(Thread {
                latest,
                count: relation.count,
                participated: relation.participated || root.sender == requester.user,
            }));
        }
    }
    Ok(None)
}

fn write_sum(ctx: &Ctx, requester: &Requester, style: Style<'_>, sum: &Sum, below: &Relations) -> Vec<u8> {
    let mut out = vec![b'{'];
    let name = |out: &mut Vec<u8>, name: &str| {
        if out.len() > 1 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
    };
    if !sum.references.is_empty() {
        name(&mut out, "m.reference");
        out.extend_from_slice(b"{\"chunk\":[");
        for (i, event_id) in sum.references.iter().enumerate() {
            out.extend_from_slice(if i > 0 { b",{\"event_id\":" } else { b"{\"event_id\":" });
            write_string(&mut out, event_id.as_str());
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }
    if let Some(edit) = &sum.edit {
        name(&mut out, "m.replace");
        write_child(ctx, requester, style, edit, below, &mut out);
    }
    if let Some(thread) = &sum.thread {
        name(&mut out, "m.thread");
        let (count, participated) = (thread.count, thread.participated);
        let begin = format!("{{\"count\":{count},\"current_user_participated\":{participated},\"latest_event\":");
        out.extend_from_slice(begin.as_bytes());
        write_child(ctx, requester, style, &thread.latest, below, &mut out);
        out.push(b'}');
    }
    out.push(b'}');
    out
}

fn write_child(ctx: &Ctx, requester: &Requester, style: Style<'_>, seen: &Seen, below: &Relations, out: &mut Vec<u8>) {
    let client_event = ClientEvent {
        with_room_id: !style.without_room_id,
        format: style.format,
        transaction_id: own_transaction(requester, &seen.event),
        membership: seen.told_membership(),
        relations: below.get(&seen.event.nid).map(Vec::as_slice),
        ..ClientEvent::new(&seen.event, ctx.clock.now_ms())
    };
    client_event.write(out);
}

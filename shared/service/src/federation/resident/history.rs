//! What came before some events, along the graph: for servers that fill a gap, or whose users read back.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events>

use std::{
    collections::{BinaryHeap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use plexus_core::ids::EventNid;
use plexus_storage::{
    events::{Direction, StoredEvent},
    rooms::RoomInfo,
};
use ruma::{EventId, OwnedEventId, RoomId, ServerName};

use super::{require_resident, write_events, write_transaction};
use crate::{Ctx, ServiceError, federation::visible::ServerSights};

/// Most events of one answer to a backfill.
pub const BACKFILL_MAX: usize = 100;
/// Most events of one answer about missing events.
const MISSING_MAX: usize = 20;
/// How many there are if the server does not say.
const MISSING_DEFAULT: usize = 10;
/// Most ids of a request that are looked at.
const IDS_MAX: usize = 100;

/// Which events a server misses.
#[derive(Clone, Debug, Default)]
pub struct MissingWish {
    /// What it has.
    pub earliest: Vec<OwnedEventId>,
    /// What it has come to, without what is between.
    pub latest: Vec<OwnedEventId>,
    /// Most events.
    pub limit: Option<u64>,
    /// Nothing that claims to be nearer to the room's beginning.
    pub min_depth: Option<i64>,
}

/// Some events and those before them, newest first: a transaction. What is not of the room is passed over.
pub async fn backfill(
    ctx: &Ctx,
    origin: &ServerName,
    room_id: &RoomId,
    from: &[OwnedEventId],
    limit: u64,
) -> Result<Vec<u8>, ServiceError> {
    let room = require_resident(ctx, origin, room_id).await?;
    let limit = usize::try_from(limit).unwrap_or(BACKFILL_MAX).min(BACKFILL_MAX);
    let mut graph = Graph::new(ctx, &room);
    let mut waiting: BinaryHeap<(i64, EventNid)> = BinaryHeap::new();
    for id in from.iter().take(IDS_MAX) {
        if let Some(event) = graph.visit(id).await? {
            graph.read_before(&event, limit).await?;
            waiting.push((event.body.depth(), event.nid));
        }
    }
    let mut sights = ServerSights::new(ctx, &room, origin);
    let mut found = Vec::new();
    while found.len() < limit
        && let Some((_, nid)) = waiting.pop()
    {
        let Some(event) = graph.visited.get(&nid).cloned() else {
            continue;
        };
        for id in event.body.prev_events() {
            if let Some(before) = graph.visit(id).await? {
                waiting.push((before.body.depth(), before.nid));
            }
        }
        found.push(sights.look(&event).await?);
    }
    Ok(write_transaction(ctx, found.iter().map(AsRef::as_ref)))
}

/// The events between what a server has and what it has come to, each after those before it: `{"events": [...]}`.
pub async fn get_missing_events(
    ctx: &Ctx,
    origin: &ServerName,
    room_id: &RoomId,
    wish: &MissingWish,
) -> Result<Vec<u8>, ServiceError> {
    let room = require_resident(ctx, origin, room_id).await?;
    let limit = wish.limit.map_or(MISSING_DEFAULT, |limit| {
        usize::try_from(limit).unwrap_or(MISSING_MAX).min(MISSING_MAX)
    });
    let mut graph = Graph::new(ctx, &room);
    graph.seen.extend(wish.earliest.iter().take(IDS_MAX).cloned());
    let mut waiting = VecDeque::new();
    for id in wish.latest.iter().take(IDS_MAX) {
        // What is asked about is not part of the answer.
        waiting.extend(graph.visit(id).await?.map(|event| (event, false)));
    }
    let mut found = Vec::new();
    'walk: while let Some((event, is_missing)) = waiting.pop_front() {
        for id in event.body.prev_events() {
            if let Some(before) = graph.visit(id).await?
                && wish.min_depth.is_none_or(|min_depth| before.body.depth() >= min_depth)
            {
                waiting.push_back((before, true));
            }
        }
        if is_missing {
            found.push(event);
        }
        if found.len() >= limit {
            break 'walk;
        }
    }
    found.sort_by_key(|event| (event.body.depth(), event.nid));
    let mut sights = ServerSights::new(ctx, &room, origin);
    let mut shown = Vec::with_capacity(found.len());
    for event in &found {
        shown.push(sights.look(event).await?);
    }
    let mut out = b"{\"events\":".to_vec();
    write_events(shown.iter().map(AsRef::as_ref), &mut out);
    out.push(b'}');
    Ok(out)
}

/// The graph of a room on a walk to its beginning.
struct Graph<'a> {
    ctx: &'a Ctx,
    room: &'a RoomInfo,
    /// What the walk does not come to again.
    seen: HashSet<OwnedEventId>,
    visited: HashMap<EventNid, Arc<StoredEvent>>,
    /// What was read ahead.
    ahead: HashMap<OwnedEventId, Arc<StoredEvent>>,
}

impl<'a> Graph<'a> {
    fn new(ctx: &'a Ctx, room: &'a RoomInfo) -> Self {
        Self {
            ctx,
            room,
            seen: HashSet::new(),
            visited: HashMap::new(),
            ahead: HashMap::new(),
        }
    }

    /// The event with an id, unless the walk has come to it before or it is not here.
    async fn visit(&mut self, id: &EventId) -> Result<Option<Arc<StoredEvent>>, ServiceError> {
        if !self.seen.insert(id.to_owned()) {
            return Ok(None);
        }
        let event = match self.ahead.remove(id) {
            Some(event) => Some(event),
            None => self.ctx.store.known_event(self.room.nid, id).await?,
        };
        if let Some(event) = &event {
            self.visited.insert(event.nid, Arc::clone(event));
        }
        Ok(event)
    }

    /// Reads what is before an event in the timeline here, which most of a walk comes to.
    async fn read_before(&mut self, event: &StoredEvent, limit: usize) -> Result<(), ServiceError> {
        let Some(order) = event.room_order else {
            return Ok(());
        };
        let store = &self.ctx.store;
        let before = store.page(self.room.nid, order - 1, Direction::Backward, limit).await?;
        let before = before
            .into_iter()
            .map(|event| (event.body.event_id().to_owned(), event));
        self.ahead.extend(before);
        Ok(())
    }
}

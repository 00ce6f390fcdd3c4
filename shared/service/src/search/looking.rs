//! From words to events the user may see.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use plexus_core::{
    ids::{EventNid, RoomNid},
    row::Membership,
};
use plexus_storage::{
    events::StoredEvent,
    rooms::RoomInfo,
    search::{self, Hit, Query},
};

use super::{
    index::load,
    request::{Criteria, Grouping},
};
use crate::{
    Ctx, Requester, ServiceError,
    error::Refusal,
    rooms::access::{Sights, View, view_room},
};

/// Rooms of a user that are searched: those he is in first.
const ROOMS_MAX: usize = 5_000;
/// Events looked at in one go.
const PAGE: i64 = 100;
/// Most events looked at for one answer: who may see few of them gets a shorter answer, and goes on from there.
const LOOKED_AT_MAX: usize = 1_000;

/// An event that was found and may be seen.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) hit: Hit,
    pub(super) event: Arc<StoredEvent>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Results {
    pub(super) found: Vec<Found>,
    /// About how many there are in all.
    pub(super) count: i64,
    /// The last one looked at, if there are others behind it.
    pub(super) next: Option<(i64, i64)>,
    pub(super) views: HashMap<RoomNid, View>,
}

/// Looks for events that have all of the words.
pub(super) async fn look(
    ctx: &Ctx,
    requester: &Requester,
    criteria: &Criteria,
    words: &[String],
) -> Result<Results, ServiceError> {
    let mut results = Results::default();
    let rooms = rooms(ctx, requester, criteria).await?;
    if words.is_empty() || rooms.is_empty() {
        return Ok(results);
    }
    let sender = match criteria.token.and_then(|token| token.group) {
        Some((Grouping::Sender, sender)) => Some(sender),
        Some((Grouping::Room, _)) | None => None,
    };
    let mut query = Query {
        words,
        rooms: rooms.keys().map(|room| room.0).collect(),
        parts: criteria.parts.iter().map(|part| *part as i64).collect(),
        sender,
        by_rank: criteria.by_rank,
        after: criteria.token.map(|token| token.after),
        limit: PAGE,
    };
    let mut looked_at = 0;
    loop {
        let hits = search::find(ctx.store.db(), &query).await?;
        if let Some(first) = hits.first() {
            results.count = first.total;
        }
        let events: Vec<EventNid> = hits.iter().map(|hit| EventNid(hit.event)).collect();
        let events = load(ctx, &events).await?;
        let mut events: HashMap<i64, Arc<StoredEvent>> = events.into_iter().map(|event| (event.nid.0, event)).collect();
        let is_last_page = i64::try_from(hits.len()).is_ok_and(|count| count < PAGE);
        let count = hits.len();
        for (index, hit) in hits.into_iter().enumerate() {
            looked_at += 1;
            query.after = Some((hit.sort_key, hit.event));
            if let Some(event) = events.remove(&hit.event)
                && sees(ctx, requester, criteria, &rooms, &event, &mut results.views).await?
            {
                results.found.push(Found { hit, event });
            }
            let is_full = results.found.len() >= criteria.limit || looked_at >= LOOKED_AT_MAX;
            if is_full {
                results.next = query.after.filter(|_| !(is_last_page && index + 1 == count));
                return Ok(results);
            }
        }
        if is_last_page {
            return Ok(results);
        }
        // What is in memory never waits, and others want to be served as well.
        tokio::task::yield_now().await;
    }
}

/// The rooms that are searched, by number.
async fn rooms(
    ctx: &Ctx,
    requester: &Requester,
    criteria: &Criteria,
) -> Result<HashMap<RoomNid, Arc<RoomInfo>>, ServiceError> {
    let all = ctx.store.user_rooms(requester.user).await?;
    let joined = all.with(Membership::Join);
    let been_in = all
        .iter()
        .filter(|(_, member)| matches!(member.membership, Membership::Leave | Membership::Ban) && !member.forgotten);
    let group = match criteria.token.and_then(|token| token.group) {
        Some((Grouping::Room, room)) => Some(RoomNid(room)),
        Some((Grouping::Sender, _)) | None => None,
    };
    let mut rooms = HashMap::new();
    for (room, _) in joined.chain(been_in).take(ROOMS_MAX) {
        if group.is_some_and(|group| group != room) {
            continue;
        }
        let Some(info) = ctx.store.room_by_nid(room).await? else {
            continue;
        };
        if criteria.filter.shows_room(info.id.as_str()) {
            rooms.insert(room, info);
        }
    }
    Ok(rooms)
}

/// Whether an event is wanted, and may be seen.
async fn sees(
    ctx: &Ctx,
    requester: &Requester,
    criteria: &Criteria,
    rooms: &HashMap<RoomNid, Arc<RoomInfo>>,
    event: &StoredEvent,
    views: &mut HashMap<RoomNid, View>,
) -> Result<bool, ServiceError> {
    let body = &event.body;
    let has_url = || body.content_string("url").is_some();
    let wanted = criteria.filter.shows(body.kind(), body.sender().as_str(), has_url);
    if event.redacted_by.is_some() || !wanted {
        return Ok(false);
    }
    if let hash_map::Entry::Vacant(unseen) = views.entry(event.room) {
        let Some(room) = rooms.get(&event.room) else {
            return Ok(false);
        };
        match view_room(ctx, requester, &room.id).await {
            Ok(view) => unseen.insert(view),
            Err(ServiceError::Refused {
                kind: Refusal::Forbidden,
                ..
            }) => return Ok(false),
            Err(error) => return Err(error),
        };
    }
    let view = &views[&event.room];
    Ok(event.position <= view.up_to && Sights::new(ctx, requester, view).sees(event).await?)
}

//! Writing what was found.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use plexus_core::token::PageToken;
use plexus_storage::events::{Direction, StoredEvent};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    looking::{Found, Results},
    request::{Around, Criteria, Grouping, Token},
};
use crate::{
    Ctx, Requester, ServiceError,
    client_event::ClientEvent,
    rooms::access::{Sights, View},
};

/// Most events of rooms' states in one answer.
const STATE_EVENTS_MAX: usize = 20_000;

/// An event as JSON.
type Json = Box<RawValue>;

#[derive(Serialize)]
struct Answer {
    search_categories: Categories,
}

#[derive(Serialize)]
struct Categories {
    room_events: RoomEvents,
}

#[derive(Serialize)]
struct RoomEvents {
    count: i64,
    highlights: Vec<String>,
    results: Vec<OneResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<BTreeMap<String, Vec<Json>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<BTreeMap<&'static str, BTreeMap<String, Group>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

#[derive(Serialize)]
struct OneResult {
    rank: f64,
    result: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Context>,
}

#[derive(Serialize)]
struct Context {
    start: String,
    end: String,
    events_before: Vec<Json>,
    events_after: Vec<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_info: Option<BTreeMap<String, Profile>>,
}

#[derive(Serialize)]
struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    displayname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
}

#[derive(Serialize)]
struct Group {
    order: usize,
    results: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

/// The answer as JSON.
pub(super) async fn write_answer(
    ctx: &Ctx,
    requester: &Requester,
    criteria: &Criteria,
    words: Vec<String>,
    results: &Results,
) -> Result<Vec<u8>, ServiceError> {
    let mut written = Vec::with_capacity(results.found.len());
    for found in &results.found {
        written.push(write_result(ctx, requester, criteria, results, found).await?);
        tokio::task::yield_now().await;
    }
    let state = if criteria.with_state {
        Some(write_states(ctx, criteria, results).await?)
    } else {
        None
    };
    let group = criteria.token.and_then(|token| token.group);
    let room_events = RoomEvents {
        count: results.count,
        highlights: if written.is_empty() { Vec::new() } else { words },
        results: written,
        state,
        groups: (!criteria.groupings.is_empty()).then(|| groups(criteria, results)),
        next_batch: results.next.map(|after| Token { after, group }.to_string()),
    };
    let answer = Answer {
        search_categories: Categories { room_events },
    };
    serde_json::to_vec(&answer).map_err(ServiceError::internal)
}

async fn write_result(
    ctx: &Ctx,
    requester: &Requester,
    criteria: &Criteria,
    results: &Results,
    found: &Found,
) -> Result<OneResult, ServiceError> {
    let context = match (criteria.around, results.views.get(&found.event.room)) {
        (Some(around), Some(view)) => Some(write_context(ctx, requester, view, around, &found.event).await?),
        _ => None,
    };
    #[expect(clippy::cast_precision_loss, reason = "a score is a rough measure")]
    let rank = found.hit.score as f64 / 1e12;
    Ok(OneResult {
        rank,
        result: json(ctx, requester, &found.event)?,
        context,
    })
}

/// What was said around an event, as far as it may be seen.
async fn write_context(
    ctx: &Ctx,
    requester: &Requester,
    view: &View,
    around: Around,
    event: &StoredEvent,
) -> Result<Context, ServiceError> {
    let order = event.room_order.unwrap_or_default();
    let mut sights = Sights::new(ctx, requester, view);
    let mut sides: [Vec<Arc<StoredEvent>>; 2] = Default::default();
    let asked = [
        (Direction::Backward, order - 1, around.before),
        (Direction::Forward, order, around.after),
    ];
    for ((direction, from, count), side) in asked.into_iter().zip(&mut sides) {
        if count == 0 {
            continue;
        }
        for other in ctx.store.page(event.room, from, direction, count).await? {
            if other.position <= view.up_to && sights.sees(&other).await? {
                side.push(other);
            }
        }
    }
    let [before, after] = &sides;
    let place = |order: i64| PageToken::after(order, ctx.replica.position()).to_string();
    let first = before.last().and_then(|event| event.room_order).unwrap_or(order);
    let last = after.last().and_then(|event| event.room_order).unwrap_or(order);
    let all = [event].into_iter().chain(sides.iter().flatten().map(|event| &**event));
    let profile_info = if around.profiles {
        Some(write_profiles(ctx, event, all).await?)
    } else {
        None
    };
    let write = |events: &[Arc<StoredEvent>]| -> Result<Vec<Json>, ServiceError> {
        events.iter().map(|event| json(ctx, requester, event)).collect()
    };
    Ok(Context {
        start: place(first - 1),
        end: place(last),
        events_before: write(before)?,
        events_after: write(after)?,
        profile_info,
    })
}

/// How those who sent these events were shown when the event was sent that was found.
async fn write_profiles<'a>(
    ctx: &Ctx,
    event: &StoredEvent,
    events: impl Iterator<Item = &'a StoredEvent>,
) -> Result<BTreeMap<String, Profile>, ServiceError> {
    let senders: BTreeSet<&str> = events.map(|event| event.body.sender().as_str()).collect();
    let mut profiles = BTreeMap::new();
    for sender in senders {
        let member = ctx
            .store
            .state_event(event.room, event.room_root, "m.room.member", sender)
            .await?;
        let field = |name: &str| member.as_ref().and_then(|member| member.body.content_string(name));
        let profile = Profile {
            displayname: field("displayname"),
            avatar_url: field("avatar_url"),
        };
        profiles.insert(sender.to_owned(), profile);
    }
    Ok(profiles)
}

/// The state of each room something was found in, as the user may know it. With lazy members, of the members only those who sent what was found.
async fn write_states(
    ctx: &Ctx,
    criteria: &Criteria,
    results: &Results,
) -> Result<BTreeMap<String, Vec<Json>>, ServiceError> {
    let mut states = BTreeMap::new();
    let mut left = STATE_EVENTS_MAX;
    for view in results.views.values() {
        let senders: BTreeSet<&str> = results
            .found
            .iter()
            .filter(|found| found.event.room == view.room.nid)
            .map(|found| found.event.body.sender().as_str())
            .collect();
        if senders.is_empty() {
            continue;
        }
        let mut events = Vec::new();
        for event in ctx.store.state_events(view.room.nid, view.root).await? {
            let is_lazy = criteria.filter.lazy_load_members && event.body.kind() == "m.room.member";
            let is_needed = !is_lazy || event.body.state_key().is_some_and(|member| senders.contains(member));
            if is_needed && left > 0 {
                left -= 1;
                events.push(written(&ClientEvent::new(&event, ctx.clock.now_ms()))?);
            }
        }
        states.insert(view.room.id.to_string(), events);
        tokio::task::yield_now().await;
    }
    Ok(states)
}

fn groups(criteria: &Criteria, results: &Results) -> BTreeMap<&'static str, BTreeMap<String, Group>> {
    let mut all = BTreeMap::new();
    for grouping in &criteria.groupings {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for found in &results.found {
            let body = &found.event.body;
            let (name, number) = match grouping {
                Grouping::Room => (body.room_id().as_str(), found.event.room.0),
                Grouping::Sender => (body.sender().as_str(), found.event.sender.0),
            };
            let order = groups.len() + 1;
            let group = groups.entry(name.to_owned()).or_insert_with(|| Group {
                order,
                results: Vec::new(),
                next_batch: None,
            });
            group.results.push(body.event_id().to_string());
            let token = Token {
                after: (found.hit.sort_key, found.hit.event),
                group: Some((*grouping, number)),
            };
            group.next_batch = results.next.map(|_| token.to_string());
        }
        let key = match grouping {
            Grouping::Room => "room_id",
            Grouping::Sender => "sender",
        };
        all.insert(key, groups);
    }
    all
}

fn json(ctx: &Ctx, requester: &Requester, event: &StoredEvent) -> Result<Json, ServiceError> {
    let transaction = event.transaction.as_ref();
    let own = transaction.filter(|sent| event.sender == requester.user && sent.device == requester.device_id);
    written(&ClientEvent {
        transaction_id: own.map(|transaction| transaction.id.as_str()),
        ..ClientEvent::new(event, ctx.clock.now_ms())
    })
}

fn written(event: &ClientEvent<'_>) -> Result<Json, ServiceError> {
    let mut out = Vec::with_capacity(event.event.body.json().len() + 200);
    event.write(&mut out);
    let text = String::from_utf8(out).map_err(ServiceError::internal)?;
    RawValue::from_string(text).map_err(ServiceError::internal)
}

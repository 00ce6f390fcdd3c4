//! Paging through a room's timeline.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages>

use std::sync::Arc;

use plexus_core::{
    filter::RoomEventFilter,
    position::WriterId,
    token::{PageFrom, PageToken},
};
use plexus_storage::events::{Direction, EVENTS_PER_PAGE_MAX, StoredEvent};
use ruma::RoomId;

use super::{
    access::{Sights, View, now, view_room},
    event::write_event,
};
use crate::{
    Ctx, Requester, ServiceError,
    client_event::{ClientEvent, write_string},
    tokens,
    users::ignored::ignored_by,
};

/// Events of a page whose client asks for no number.
pub const LIMIT_DEFAULT: usize = 10;
/// Most events of one page.
const LIMIT_MAX: usize = EVENTS_PER_PAGE_MAX;
/// Most reads of the timeline for one page: a filter that fits nothing must not walk a whole room in one request.
const READS_MAX: usize = 10;

/// What is asked for.
#[derive(Debug)]
pub struct PageRequest {
    /// Where to begin: the end of the timeline that the direction starts at, if nothing is said.
    pub from: Option<String>,
    /// Where to stop before the limit.
    pub to: Option<String>,
    pub direction: Direction,
    pub limit: Option<usize>,
    pub filter: RoomEventFilter,
}

/// One page of a room's timeline, as JSON.
pub async fn get_messages(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    request: PageRequest,
) -> Result<Vec<u8>, ServiceError> {
    let from = open_token(ctx, request.from.as_deref()).await?;
    let to = open_token(ctx, request.to.as_deref()).await?;
    let view = view_room(ctx, requester, room_id).await?;
    let newest = newest_order(ctx, &view, view.up_to).await?;
    let from = match from {
        Some(place) => place.order(ctx, &view).await?,
        None if request.direction == Direction::Backward => newest,
        None => i64::MIN,
    };
    let to = match to {
        Some(place) => Some(place.order(ctx, &view).await?),
        None => None,
    };
    let page = collect(
        ctx,
        requester,
        &view,
        Range {
            from,
            to,
            newest,
            direction: request.direction,
        },
        &request,
    )
    .await?;
    write_page(ctx, requester, &view, from, &page, &request.filter).await
}

/// Where a token points, once this process has reached it.
enum Place {
    Order(i64),
    /// After everything up to this place in the log.
    Position(i64),
}

impl Place {
    async fn order(self, ctx: &Ctx, view: &View) -> Result<i64, ServiceError> {
        match self {
            Self::Order(order) => Ok(order),
            Self::Position(position) => newest_order(ctx, view, position).await,
        }
    }
}

async fn open_token(ctx: &Ctx, token: Option<&str>) -> Result<Option<Place>, ServiceError> {
    let Some(token) = token else { return Ok(None) };
    let invalid = |_| ServiceError::invalid_param("the token is not one of this server");
    Ok(Some(match token.parse().map_err(invalid)? {
        PageFrom::Page(token) => Place::Order(tokens::open(ctx, token).await?.order),
        PageFrom::Sync(token) => {
            let token = tokens::open(ctx, token).await?;
            if token.generation != ctx.config.generation {
                return Err(ServiceError::invalid_param(
                    "the token is of another history of this server",
                ));
            }
            Place::Position(token.position.get(WriterId::MASTER))
        }
    }))
}

/// The place of the newest event up to a place in the log; before everything if there is none.
async fn newest_order(ctx: &Ctx, view: &View, up_to: i64) -> Result<i64, ServiceError> {
    let newest = ctx.store.events_between(view.room.nid, 0, up_to, 1).await?;
    Ok(newest.first().and_then(|event| event.room_order).unwrap_or(i64::MIN))
}

/// The part of the timeline that is asked for.
#[derive(Clone, Copy)]
struct Range {
    from: i64,
    to: Option<i64>,
    /// The newest event the requester may know of.
    newest: i64,
    direction: Direction,
}

impl Range {
    /// Whether an event is past the end of what is asked for.
    fn is_past(self, order: i64) -> bool {
        match self.direction {
            Direction::Backward => self.to.is_some_and(|to| order <= to),
            Direction::Forward => order > self.newest || self.to.is_some_and(|to| order > to),
        }
    }
}

/// The events of a page, and where the next one begins if there is one.
struct Page {
    events: Vec<Arc<StoredEvent>>,
    end: Option<i64>,
}

async fn collect(
    ctx: &Ctx,
    requester: &Requester,
    view: &View,
    range: Range,
    request: &PageRequest,
) -> Result<Page, ServiceError> {
    let limit = request
        .limit
        .or(request.filter.events.limit)
        .unwrap_or(LIMIT_DEFAULT)
        .min(LIMIT_MAX);
    let mut sights = Sights::new(ctx, requester, view);
    let mut events = Vec::with_capacity(limit);
    let mut place = match range.direction {
        Direction::Backward => range.from.min(range.newest),
        Direction::Forward => range.from,
    };
    if limit == 0 {
        // The specification has no smallest limit: a page may be empty, and the next one begin where it does.
        return Ok(Page {
            events,
            end: Some(place),
        });
    }
    let ignored = ignored_by(ctx, requester.user).await?;
    let shows_room = request.filter.shows_room(view.room.id.as_str());
    for _ in 0..READS_MAX {
        let read = ctx.store.page(view.room.nid, place, range.direction, limit).await?;
        let was_short = read.len() < limit;
        for event in read {
            let order = event.room_order.unwrap_or_default();
            if range.is_past(order) {
                return Ok(Page { events, end: None });
            }
            place = match range.direction {
                Direction::Backward => order - 1,
                Direction::Forward => order,
            };
            let is_ignored = event.state_key.is_none() && ignored.contains(event.body.sender());
            if shows_room && !is_ignored && is_wanted(&request.filter, &event) && sights.sees(&event).await? {
                events.push(event);
                if events.len() == limit {
                    return Ok(Page {
                        events,
                        end: Some(place),
                    });
                }
            }
        }
        if was_short {
            return Ok(Page { events, end: None });
        }
    }
    Ok(Page {
        events,
        end: Some(place),
    })
}

fn is_wanted(filter: &RoomEventFilter, event: &StoredEvent) -> bool {
    let body = &event.body;
    filter.shows(body.kind(), body.sender().as_str(), || {
        body.content_string("url").is_some()
    })
}

async fn write_page(
    ctx: &Ctx,
    requester: &Requester,
    view: &View,
    from: i64,
    page: &Page,
    filter: &RoomEventFilter,
) -> Result<Vec<u8>, ServiceError> {
    let bytes: usize = page.events.iter().map(|event| event.body.json().len() + 200).sum();
    let mut out = Vec::with_capacity(bytes + 128);
    out.extend_from_slice(b"{\"chunk\":[");
    for (i, event) in page.events.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_event(ctx, requester, event, &mut out).await?;
    }
    out.push(b']');
    let position = ctx.replica.position();
    let mut write_token = |name: &[u8], order: i64| {
        out.extend_from_slice(name);
        write_string(&mut out, &PageToken::after(order, position.clone()).to_string());
    };
    write_token(b",\"start\":", from);
    if let Some(end) = page.end {
        write_token(b",\"end\":", end);
    }
    if filter.lazy_load_members {
        write_senders(ctx, view, page, &mut out).await?;
    }
    out.push(b'}');
    Ok(out)
}

/// Appends the member events of everybody who sent something on the page, as they were at its last event.
async fn write_senders(ctx: &Ctx, view: &View, page: &Page, out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let root = page.events.last().map_or(view.root, |event| event.room_root);
    let mut senders: Vec<&str> = page.events.iter().map(|event| event.body.sender().as_str()).collect();
    senders.sort_unstable();
    senders.dedup();
    out.extend_from_slice(b",\"state\":[");
    let mut first = true;
    for sender in senders {
        let Some(member) = ctx
            .store
            .state_event(view.room.nid, root, "m.room.member", sender)
            .await?
        else {
            continue;
        };
        if !first {
            out.push(b',');
        }
        first = false;
        ClientEvent::new(&member, ctx.clock.now_ms()).write(out);
    }
    out.push(b']');
    Ok(())
}

/// The place in the log that a members `at` token names.
pub async fn position_of_token(ctx: &Ctx, view_at: &str) -> Result<i64, ServiceError> {
    let invalid = |_| ServiceError::invalid_param("the token is not one of this server");
    let position = match view_at.parse().map_err(invalid)? {
        PageFrom::Page(token) => tokens::open(ctx, token).await?.position,
        PageFrom::Sync(token) => tokens::open(ctx, token).await?.position,
    };
    Ok(position.get(WriterId::MASTER).min(now(ctx)))
}

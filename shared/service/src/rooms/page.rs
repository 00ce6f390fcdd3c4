//! Walking through a room's timeline: the events of a part of it that a reader may see and a filter shows.

use std::sync::Arc;

use plexus_core::{
    event::json,
    filter::{PageFilter, RoomEventFilter},
    position::WriterId,
    token::PageFrom,
};
use plexus_storage::events::{Direction, EVENTS_PER_PAGE_MAX, StoredEvent};

use super::access::{Seen, Sights, View};
use crate::{Ctx, ServiceError, tokens, users::ignored::ignored_by};

/// Events of a page whose client asks for no number.
pub(super) const LIMIT_DEFAULT: usize = 10;

/// Most events of one page.
pub(super) const LIMIT_MAX: usize = EVENTS_PER_PAGE_MAX;

/// Most reads of the timeline for one page: a filter that fits nothing must not walk a whole room in one request.
const READS_MAX: usize = 10;

/// Least events of one read behind a filter, which may show few of them.
const FILTERED_READ_MIN: usize = 100;

/// Where a token points, once this process has reached it.
pub(super) enum Place {
    Order(i64),
    /// After everything up to this place in the log.
    Position(i64),
}

impl Place {
    /// The `room_order` in a room after which the place is.
    pub(super) async fn order(self, ctx: &Ctx, view: &View) -> Result<i64, ServiceError> {
        match self {
            Self::Order(order) => Ok(order),
            Self::Position(position) => newest_order(ctx, view, position).await,
        }
    }
}

/// Where a token of a request points.
pub(super) async fn open_token(ctx: &Ctx, token: Option<&str>) -> Result<Option<Place>, ServiceError> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
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
pub(super) async fn newest_order(ctx: &Ctx, view: &View, up_to: i64) -> Result<i64, ServiceError> {
    let newest = ctx.store.events_between(view.room.nid, 0, up_to, 1).await?;
    Ok(newest.first().and_then(|event| event.room_order).unwrap_or(i64::MIN))
}

/// The part of a timeline that is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) from: i64,
    pub(super) to: Option<i64>,
    /// The newest event the requester may know of.
    pub(super) newest: i64,
    /// What is past this place is not to be read yet.
    pub(super) stop: Option<i64>,
    pub(super) direction: Direction,
}

impl Range {
    fn is_stopped_at(self, order: i64) -> bool {
        self.stop.is_some_and(|stop| match self.direction {
            Direction::Backward => order <= stop,
            Direction::Forward => order > stop,
        })
    }

    /// Whether an event is past the end of what is asked for.
    fn is_past(self, order: i64) -> bool {
        match self.direction {
            Direction::Backward => self.to.is_some_and(|to| order <= to),
            Direction::Forward => order > self.newest || self.to.is_some_and(|to| order > to),
        }
    }
}

/// The events of a page, and where the next one begins if there is one.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) events: Vec<Seen>,
    pub(super) end: Option<i64>,
}

/// The events of a range that the reader may see and the filter shows.
pub(super) async fn collect(
    ctx: &Ctx,
    sights: &mut Sights<'_>,
    view: &View,
    range: Range,
    limit: usize,
    filter: &PageFilter,
) -> Result<Page, ServiceError> {
    let mut place = match range.direction {
        Direction::Backward => range.from.min(range.newest),
        Direction::Forward => range.from,
    };
    let limit = limit.min(LIMIT_MAX);
    let mut page = Page::default();
    if limit == 0 {
        // The specification has no smallest limit: a page may be empty, and the next one begin where it does.
        page.end = Some(place);
        return Ok(page);
    }
    if !filter.events.shows_room(view.room.id.as_str()) {
        return Ok(page);
    }
    let is_filtered = !filter.events.shows_all() || !filter.related_by.is_empty();
    let read_max = if is_filtered {
        limit.max(FILTERED_READ_MIN)
    } else {
        limit
    };
    let ignored = ignored_by(ctx, sights.requester().user).await?;
    for _ in 0..READS_MAX {
        let read = ctx.store.page(view.room.nid, place, range.direction, read_max).await?;
        let was_short = read.len() < read_max;
        let wanted = wanted(ctx, view, filter, &read).await?;
        for (event, wanted) in read.iter().zip(wanted) {
            let order = event.room_order.unwrap_or_default();
            if range.is_past(order) {
                return Ok(page);
            }
            if range.is_stopped_at(order) {
                page.end = range.stop;
                return Ok(page);
            }
            place = match range.direction {
                Direction::Backward => order - 1,
                Direction::Forward => order,
            };
            let is_ignored = event.state_key.is_none() && ignored.contains(event.body.sender());
            if wanted
                && !is_ignored
                && let Some(seen) = sights.look(event).await?
            {
                page.events.push(seen);
                if page.events.len() == limit {
                    page.end = Some(place);
                    return Ok(page);
                }
            }
        }
        if was_short {
            page.end = range.stop;
            return Ok(page);
        }
    }
    page.end = Some(place);
    Ok(page)
}

/// For each event, whether the filter shows it.
async fn wanted(
    ctx: &Ctx,
    view: &View,
    filter: &PageFilter,
    events: &[Arc<StoredEvent>],
) -> Result<Vec<bool>, ServiceError> {
    let mut wanted: Vec<bool> = events.iter().map(|event| is_wanted(&filter.events, event)).collect();
    let related_by = &filter.related_by;
    if !related_by.is_empty() {
        let nids: Vec<_> = events.iter().map(|event| event.nid).collect();
        let mut senders = related_by.senders.as_ref().map(|_| Vec::new());
        for sender in related_by.senders.iter().flatten() {
            let user = match <&ruma::UserId>::try_from(sender.as_str()) {
                Ok(user_id) => ctx.store.user_nid(user_id).await?,
                Err(_) => None,
            };
            senders.get_or_insert_default().extend(user);
        }
        let rel_types = related_by.rel_types.as_deref();
        let related = ctx
            .store
            .related_by(&nids, rel_types, senders.as_deref(), view.up_to)
            .await?;
        for (wanted, nid) in wanted.iter_mut().zip(nids) {
            *wanted &= related.binary_search(&nid).is_ok();
        }
    }
    Ok(wanted)
}

/// Whether a filter shows an event of a room that it shows.
pub(super) fn is_wanted(filter: &RoomEventFilter, event: &StoredEvent) -> bool {
    let body = &event.body;
    filter.shows_all()
        || filter.shows(body.kind(), body.sender().as_str(), || {
            json::get(body.content(), "url").is_some()
        })
}

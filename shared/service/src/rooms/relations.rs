//! The events that relate to an event.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventid>

use plexus_storage::{
    events::Direction,
    relations::{RECURSION_MAX, RelationsPage},
};
use ruma::{EventId, RoomId};

use super::{
    access::{Seen, Sights, View, view_room},
    event::require_visible,
    messages::{token, write_member},
    page::{newest_order, open_token},
    present::{Remarks, Style},
};
use crate::{Ctx, Requester, ServiceError};

/// Events of a page whose client asks for no number.
const LIMIT_DEFAULT: usize = 20;

/// Most events of one page.
const LIMIT_MAX: usize = 100;

/// Most reads for one page, of a whole page each: most of what relates to an event can be seen by whoever sees the event.
const READS_MAX: usize = 5;

/// What is asked for.
#[derive(Debug)]
pub struct RelationsRequest {
    /// Only those of one `rel_type`.
    pub rel_type: Option<String>,
    /// Only those of one event type.
    pub kind: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub direction: Direction,
    pub limit: Option<usize>,
    /// Whether to give what relates to what relates to the event too.
    pub recurse: bool,
}

/// One page of what relates to an event, as JSON.
pub async fn list_relations(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    event_id: &EventId,
    request: RelationsRequest,
) -> Result<Vec<u8>, ServiceError> {
    let from = open_token(ctx, request.from.as_deref()).await?;
    let to = open_token(ctx, request.to.as_deref()).await?;
    let view = view_room(ctx, requester, room_id).await?;
    let mut sights = Sights::new(ctx, requester, &view);
    require_visible(ctx, &mut sights, &view, event_id).await?;
    let from = match from {
        Some(place) => place.order(ctx, &view).await?,
        None if request.direction == Direction::Backward => newest_order(ctx, &view, view.up_to).await?,
        None => i64::MIN,
    };
    let to = match to {
        Some(place) => Some(place.order(ctx, &view).await?),
        None => None,
    };
    let (events, next) = collect(ctx, &mut sights, &view, event_id, (from, to), &request).await?;
    let style = Style::default();
    let remarks = Remarks::read(ctx, requester, &mut sights, style, &events, Some(view.up_to)).await?;
    let mut out = b"{\"chunk\":".to_vec();
    remarks.write_list(ctx, requester, style, &events, &mut out);
    if let Some(next) = next {
        write_member(&mut out, "next_batch", &token(ctx, next));
    }
    if let Some(from) = request.from.filter(|from| !from.is_empty()) {
        write_member(&mut out, "prev_batch", &from);
    }
    if request.recurse {
        out.extend_from_slice(format!(",\"recursion_depth\":{RECURSION_MAX}").as_bytes());
    }
    out.push(b'}');
    Ok(out)
}

/// The events of a page, and where the next one begins if there is one.
async fn collect(
    ctx: &Ctx,
    sights: &mut Sights<'_>,
    view: &View,
    parent: &EventId,
    (from, to): (i64, Option<i64>),
    request: &RelationsRequest,
) -> Result<(Vec<Seen>, Option<i64>), ServiceError> {
    let limit = request.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
    let mut events = Vec::with_capacity(limit);
    let mut place = from;
    if limit == 0 {
        return Ok((events, Some(place)));
    }
    for _ in 0..READS_MAX {
        let page = RelationsPage {
            room: view.room.nid,
            version: view.room.version,
            parent,
            rel_type: request.rel_type.as_deref(),
            kind: request.kind.as_deref(),
            up_to: view.up_to,
            from: place,
            direction: request.direction,
            // One more than fits tells whether there is another page.
            limit: limit + 1,
            recurse: request.recurse,
        };
        let nids = ctx.store.relations(&page).await?;
        for event in ctx.store.events_there(&nids).await? {
            let order = event.room_order.unwrap_or_default();
            let is_past = match request.direction {
                Direction::Backward => to.is_some_and(|to| order <= to),
                Direction::Forward => to.is_some_and(|to| order > to),
            };
            if is_past {
                return Ok((events, None));
            }
            if events.len() == limit {
                return Ok((events, Some(place)));
            }
            place = match request.direction {
                Direction::Backward => order - 1,
                Direction::Forward => order,
            };
            events.extend(sights.look(&event).await?);
        }
        if nids.len() <= limit {
            return Ok((events, None));
        }
    }
    Ok((events, Some(place)))
}

//! Paging through a room's timeline.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages>

use plexus_core::{filter::PageFilter, position::WriterId, token::PageFrom, token::PageToken};
use plexus_storage::events::Direction;
use ruma::RoomId;

use super::{
    access::{Sights, View, now, view_room},
    page::{LIMIT_DEFAULT, Page, Range, collect, newest_order, open_token},
    present::{Remarks, Style, write_state},
};
use crate::{
    Ctx, Requester, ServiceError,
    client_event::write_string,
    federation::history::{Reach, ensure_history, holes::ensure_history_after},
    tokens,
};

/// What is asked for.
#[derive(Debug)]
pub struct PageRequest {
    /// Where to begin: the end of the timeline that the direction starts at, if nothing is said.
    pub from: Option<String>,
    /// Where to stop before the limit.
    pub to: Option<String>,
    pub direction: Direction,
    pub limit: Option<usize>,
    pub filter: PageFilter,
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
    let filter = &request.filter;
    let limit = request.limit.or(filter.events.events.limit).unwrap_or(LIMIT_DEFAULT);
    let direction = request.direction;
    let reach = match direction {
        Direction::Backward => ensure_history(ctx, &view.room, newest, (from.min(newest), limit)).await?,
        Direction::Forward => Reach {
            stop: ensure_history_after(ctx, &view.room, newest, (from, limit)).await?,
            ..Reach::default()
        },
    };
    let range = Range {
        from,
        to,
        newest,
        stop: reach.stop,
        direction,
    };
    let mut sights = Sights::new(ctx, requester, &view);
    let mut page = collect(ctx, &mut sights, &view, range, limit, filter).await?;
    if reach.lacks_something && page.end.is_none() {
        // History is missing that may be had later.
        page.end = page.events.last().and_then(|seen| Some(seen.event.room_order? - 1));
    }
    let style = Style {
        format: filter.event_format,
        fields: filter.event_fields.as_ref(),
        ..Style::default()
    };
    let remarks = Remarks::read(ctx, requester, &mut sights, style, &page.events, Some(view.up_to)).await?;
    let bytes: usize = page.events.iter().map(|seen| seen.event.body.json().len() + 200).sum();
    let mut out = Vec::with_capacity(bytes + 128);
    out.extend_from_slice(b"{\"chunk\":");
    remarks.write_list(ctx, requester, style, &page.events, &mut out);
    // The token that was given, as the specification has it.
    let start = request.from.filter(|from| !from.is_empty());
    write_member(&mut out, "start", &start.unwrap_or_else(|| token(ctx, from)));
    if let Some(end) = page.end {
        write_member(&mut out, "end", &token(ctx, end));
    }
    if filter.events.lazy_load_members {
        out.extend_from_slice(b",\"state\":");
        write_senders(ctx, &view, &page, style, &mut out).await?;
    }
    out.push(b'}');
    Ok(out)
}

/// The token for the place after an event.
pub(super) fn token(ctx: &Ctx, order: i64) -> String {
    PageToken::after(order, ctx.replica.position()).to_string()
}

pub(super) fn write_member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b',');
    write_string(out, name);
    out.push(b':');
    write_string(out, value);
}

/// Appends the member events of everybody who sent something on the page, as they were at its newest event.
async fn write_senders(
    ctx: &Ctx,
    view: &View,
    page: &Page,
    style: Style<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ServiceError> {
    let newest = page.events.iter().max_by_key(|seen| seen.event.room_order);
    let root = newest.map_or(view.root, |seen| seen.event.room_root);
    let mut senders: Vec<&str> = page
        .events
        .iter()
        .map(|seen| seen.event.body.sender().as_str())
        .collect();
    senders.sort_unstable();
    senders.dedup();
    let mut members = Vec::with_capacity(senders.len());
    for sender in senders {
        members.extend(
            ctx.store
                .state_event(view.room.nid, root, "m.room.member", sender)
                .await?,
        );
    }
    write_state(ctx, &members, style, out);
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

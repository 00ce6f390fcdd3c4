//! `GET /events`: what has happened since, oldest first, and waiting until something has.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use plexus_core::{
    filter::Filter,
    ids::RoomNid,
    position::{Position, Sequence, WriterId},
    row::Membership,
    token::SyncToken,
};
use plexus_replication::Listener;
use plexus_storage::{events::StoredEvent, memberships::RoomMembership};
use ruma::{OwnedRoomId, RoomId};
use tokio::time::{Instant, timeout_at};

use super::{format, room::write_presence, scope};
use crate::{
    Ctx, Requester, ServiceError,
    error::Refusal,
    presence::share_room,
    rooms::access::{Sights, View, now, view, view_room},
    sync::{
        TIMEOUT_MAX, account_data, ephemeral,
        event::{self, Remarks},
        joined_rooms, open_since, require_session,
        scope::{Scope, Typing, Window},
        visits::{self, Visit, VisitKind},
    },
};

/// What a client asks the stream for.
#[derive(Clone, Debug)]
pub struct EventsRequest {
    /// Where to begin: a token that [`open_stream`] gave.
    pub from: String,
    /// Most events of timelines at once.
    pub limit: usize,
    /// How long to wait for any.
    pub timeout: Duration,
    /// Only what happens in this room, which the user may also look into from outside.
    pub room_id: Option<OwnedRoomId>,
    /// The hash of the access token: a wait ends with an error once the session is gone.
    pub token_hash: Option<[u8; 32]>,
}

/// Where a client begins: where it says, or now.
pub async fn open_stream(ctx: &Ctx, from: Option<&str>) -> Result<String, ServiceError> {
    if let Some(since) = open_since(ctx, from).await? {
        return Ok(since.to_string());
    }
    ctx.replica.head().await?;
    Ok(Window::now(ctx, None).next(ctx, 0).to_string())
}

/// What has happened since `from`, as JSON, as soon as anything has.
pub async fn get_events(ctx: &Ctx, requester: &Requester, request: &EventsRequest) -> Result<Vec<u8>, ServiceError> {
    let deadline = Instant::now() + request.timeout.min(TIMEOUT_MAX);
    if requester.guest && request.room_id.is_none() {
        return Err(ServiceError::refused(
            Refusal::MissingParam,
            "guests have to say in `room_id` which room they look into",
        ));
    }
    let Some(mut since) = open_since(ctx, Some(&request.from)).await? else {
        return Err(ServiceError::invalid_param(
            "`from` is of another history of this server",
        ));
    };
    let filter = Filter::default();
    let mut listener = ctx.replica.listen(requester.user, joined_rooms(ctx, requester)).await?;
    loop {
        require_session(ctx, request.token_hash).await?;
        let looked_into = match &request.room_id {
            Some(room_id) => Some(look_into(ctx, requester, room_id).await?),
            None => None,
        };
        let scope = scope(ctx, requester, &filter, Window::now(ctx, Some(&since))).await?;
        let (chunk, end) = collect(&scope, request.limit, looked_into.as_ref()).await?;
        let is_over = Instant::now() >= deadline;
        let is_outside = looked_into.is_some_and(|view| is_outside(&view));
        if !chunk.is_empty() || is_over || !has_changed(&scope, is_outside, &mut listener, deadline).await {
            return Ok(write_answer(&request.from, &chunk, &end));
        }
        since = end;
    }
}

/// The one room that a client asks for: it is in it, or anybody may look in.
async fn look_into(ctx: &Ctx, requester: &Requester, room_id: &RoomId) -> Result<View, ServiceError> {
    let view = view_room(ctx, requester, room_id).await?;
    if is_outside(&view) {
        let root = ctx
            .store
            .room_root_at(view.room.nid, now(ctx))
            .await?
            .unwrap_or_default();
        let visibility = ctx
            .store
            .state_event(view.room.nid, root, "m.room.history_visibility", "")
            .await?;
        let word = visibility.and_then(|event| event.body.content_string("history_visibility"));
        if word.as_deref() != Some("world_readable") {
            return Err(ServiceError::forbidden("you are not in this room"));
        }
    }
    Ok(view)
}

fn is_outside(view: &View) -> bool {
    view.membership != Some(Membership::Join)
}

/// Waits until something may have happened; whether anything has before the deadline.
async fn has_changed(scope: &Scope<'_>, is_outside: bool, listener: &mut Listener, deadline: Instant) -> bool {
    if !is_outside {
        return timeout_at(deadline, listener.changed()).await.is_ok();
    }
    // Nobody rings for a room that one is not in: any row at all may be of it.
    let mut next: Position = scope.window.position.clone();
    next.advance(WriterId::MASTER, scope.window.up_to + 1);
    let reached = scope.ctx.replica.reached(&next, deadline).await;
    reached.is_ok()
}

fn write_answer(from: &str, chunk: &[u8], end: &SyncToken) -> Vec<u8> {
    let mut out = Vec::with_capacity(chunk.len() + 256);
    out.extend_from_slice(b"{\"chunk\":[");
    out.extend_from_slice(chunk);
    // Tokens have nothing in them that JSON would want otherwise.
    out.extend_from_slice(format!("],\"start\":\"{from}\",\"end\":\"{end}\"}}").as_bytes());
    out
}

/// The events of timelines that are told, by their places.
type Told = BTreeMap<Sequence, (Arc<Visit>, Arc<StoredEvent>)>;

/// Everything in the window that is told, and up to where.
async fn collect(
    scope: &Scope<'_>,
    limit: usize,
    looked_into: Option<&View>,
) -> Result<(Vec<u8>, SyncToken), ServiceError> {
    let room = looked_into.map(|view| view.room.nid);
    let visits: Vec<Arc<Visit>> = match looked_into {
        Some(view) if is_outside(view) => vec![Arc::new(looking_in(view))],
        _ => visits::choose(scope)
            .await?
            .into_iter()
            .filter(|visit| room.is_none_or(|room| visit.room.nid == room))
            .map(Arc::new)
            .collect(),
    };
    let limit = limit.clamp(1, scope.ctx.config.sync.timeline_limit_max);
    let mut told = Told::new();
    for visit in &visits {
        read(scope, visit, limit, &mut told).await?;
    }
    let is_cut = told.len() >= limit;
    let mut end = scope.window.next(scope.ctx, 0);
    if let Some((last, _)) = told.last_key_value().filter(|_| is_cut) {
        end.position = Position::at(WriterId::MASTER, *last);
    }
    let mut chunk = Vec::new();
    for (visit, event) in told.values() {
        write_event(scope, visit, event, &mut chunk).await?;
    }
    for visit in &visits {
        if matches!(visit.kind, VisitKind::Joined | VisitKind::NewlyJoined) {
            write_of_room(scope, visit, &mut chunk).await?;
        }
    }
    if room.is_none() {
        let mut section = Vec::new();
        account_data::write(scope, &mut section).await?;
        for event in format::events_of_section("account_data", &section) {
            format::write_with(&event, None, &mut chunk);
        }
    }
    write_presences(scope, room, &mut chunk).await?;
    Ok((chunk, end))
}

/// The visit of somebody who is not in the room and sees what everybody may.
fn looking_in(view: &View) -> Visit {
    Visit {
        room: Arc::clone(&view.room),
        kind: VisitKind::Joined,
        member: RoomMembership {
            membership: Membership::Leave,
            event: plexus_core::ids::EventNid(0),
            position: Sequence::MAX,
            forgotten: false,
        },
    }
}

/// Adds the oldest events of a room in the window that the user may see, and keeps the oldest of all.
async fn read(scope: &Scope<'_>, visit: &Arc<Visit>, limit: usize, told: &mut Told) -> Result<(), ServiceError> {
    let member = visit.member;
    let is_member = member.membership == Membership::Join;
    let (mut after, mut up_to, sees_all_after) = match visit.kind {
        VisitKind::Joined if is_member => (scope.window.after(), scope.window.up_to, scope.window.after()),
        VisitKind::Joined => (scope.window.after(), scope.window.up_to, Sequence::MAX),
        VisitKind::NewlyJoined => (scope.window.after(), scope.window.up_to, member.position - 1),
        VisitKind::Left { .. } => (scope.window.after(), member.position, member.position - 1),
        VisitKind::Invited | VisitKind::Knocked | VisitKind::NeverIn => {
            (member.position - 1, member.position, member.position - 1)
        }
    };
    let view = view(scope.ctx, scope.requester, Arc::clone(&visit.room), scope.window.up_to).await?;
    let mut sights = view.as_ref().map(|view| Sights::new(scope.ctx, scope.requester, view));
    loop {
        if told.len() >= limit
            && let Some((newest, _)) = told.last_key_value()
        {
            // What comes after the newest of those there is told the next time.
            up_to = up_to.min(*newest);
        }
        let events = scope
            .ctx
            .store
            .events_after(visit.room.nid, after, up_to, limit)
            .await?;
        scope.effort.spend(events.len()).await;
        let was_last = events.len() < limit;
        for event in events {
            after = event.position;
            if event.state_key.is_none() && scope.ignored.contains(event.body.sender()) {
                continue;
            }
            let seen = match &mut sights {
                _ if event.position > sees_all_after => Some(event),
                Some(sights) => sights.look(&event).await?.map(|seen| seen.event),
                None => None,
            };
            if let Some(event) = seen {
                told.insert(event.position, (Arc::clone(visit), event));
            }
        }
        while told.len() > limit {
            told.pop_last();
        }
        if was_last || !scope.effort.may_read(limit) {
            return Ok(());
        }
    }
}

async fn write_event(
    scope: &Scope<'_>,
    visit: &Visit,
    event: &StoredEvent,
    out: &mut Vec<u8>,
) -> Result<(), ServiceError> {
    let store = &scope.ctx.store;
    let replaced = find_replaced(scope, visit, event).await?;
    let redaction = match event.redacted_by {
        Some(redaction) => store.event(redaction).await?,
        None => None,
    };
    let remarks = Remarks {
        replaced: replaced.as_deref(),
        redaction: redaction.as_deref(),
        ..Remarks::default()
    };
    let mut written = Vec::new();
    event::write(scope, event, remarks, &mut written);
    format::write_event(&String::from_utf8_lossy(&written), &visit.room.id, out);
    Ok(())
}

/// What an event replaced, if the user may see that as well.
async fn find_replaced(
    scope: &Scope<'_>,
    visit: &Visit,
    event: &StoredEvent,
) -> Result<Option<Arc<StoredEvent>>, ServiceError> {
    let (ctx, store) = (scope.ctx, &scope.ctx.store);
    let Some(key) = event.state_key else { return Ok(None) };
    let Some(replaced) = store.state_get(event.room, event.state_before, key).await? else {
        return Ok(None);
    };
    let Some(replaced) = store.event(replaced).await? else {
        return Ok(None);
    };
    let view = view(ctx, scope.requester, Arc::clone(&visit.room), scope.window.up_to).await?;
    let is_seen = match &view {
        Some(view) => Sights::new(ctx, scope.requester, view).sees(&replaced).await?,
        None => false,
    };
    Ok(is_seen.then_some(replaced))
}

/// Appends what is told of a room besides its timeline.
async fn write_of_room(scope: &Scope<'_>, visit: &Visit, out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let (mut others, mut own) = (Vec::new(), Vec::new());
    ephemeral::write(scope, visit, &mut others).await?;
    account_data::write_of_room(scope, visit, &mut own).await?;
    for event in format::events_of(&others).into_iter().chain(format::events_of(&own)) {
        format::write_with(&event, Some(&visit.room.id), out);
    }
    Ok(())
}

/// Appends who has changed, of those who concern the user: everybody he shares a room with, or with one room those in it.
async fn write_presences(scope: &Scope<'_>, room: Option<RoomNid>, out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let Typing::After(after) = scope.window.typing() else {
        return Ok(());
    };
    if !scope.ctx.config.social.presence {
        return Ok(());
    }
    let (store, own) = (&scope.ctx.store, scope.requester.user);
    for stored in store.presences_changed(after) {
        let user = stored.row.user;
        let concerns = match room {
            Some(room) => {
                let member = store.membership_at(user, room, scope.window.up_to).await?;
                member.is_some_and(|member| member.membership == Membership::Join)
            }
            None => user == own || share_room(scope.ctx, own, user).await?,
        };
        if concerns && let Some(user_id) = store.user_id(user).await? {
            write_presence(scope, &user_id, Some(&stored.row), out);
        }
    }
    Ok(())
}

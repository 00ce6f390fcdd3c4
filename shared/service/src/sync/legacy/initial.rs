//! `GET /initialSync`: all of a user's rooms, and what else there is of him.

use futures_util::future::try_join_all;
use plexus_core::{
    event::json::write_string,
    filter::Filter,
    row::{Membership, PresenceRow, PresenceState},
    token::PageToken,
};
use ruma::RoomId;
use serde_json::json;

use super::{format, room, scope};
use crate::{
    Ctx, Requester, ServiceError,
    push::rules::KIND as PUSH_RULES,
    sync::{
        account_data,
        event::{self, Remarks, push_comma},
        part::{self, Loaded, Part},
        presence,
        scope::{Scope, Window},
        visits::{self, Visit, VisitKind},
    },
};

/// Rooms that are read at the same time.
const ROOMS_AT_ONCE: usize = 8;

/// Everything a client begins with, as JSON: of each room the newest `limit` events; with `archived` also of those the user has left.
pub async fn get_initial_sync(
    ctx: &Ctx,
    requester: &Requester,
    limit: usize,
    archived: bool,
) -> Result<Vec<u8>, ServiceError> {
    ctx.replica.head().await?;
    let _turn = ctx.turns.take(requester.user).await;
    let filter = filter(limit.min(ctx.config.sync.timeline_limit_max), archived)?;
    let scope = scope(ctx, requester, &filter, Window::now(ctx, None)).await?;
    let end = scope.window.next(ctx, 0).to_string();
    let visits = visits::choose(&scope).await?;
    let (mut rooms, mut receipts) = (Vec::new(), Vec::new());
    for visits in visits.chunks(ROOMS_AT_ONCE) {
        let parts = try_join_all(visits.iter().map(|visit| part::read(&scope, visit))).await?;
        let loaded = part::load(&scope, &parts).await?;
        for part in &parts {
            write_room(&scope, part, &loaded, &end, &mut rooms).await?;
            for receipt in format::events_of(&part.ephemeral) {
                format::write_with(&receipt, Some(&part.visit.room.id), &mut receipts);
            }
        }
    }
    let mut section = Vec::new();
    account_data::write(&scope, &mut section).await?;
    let account_data = format::events_of_section("account_data", &section).join(",");
    let mut out = Vec::with_capacity(rooms.len() + receipts.len() + account_data.len() + 256);
    out.extend_from_slice(b"{\"account_data\":[");
    out.extend_from_slice(account_data.as_bytes());
    out.extend_from_slice(b"],\"end\":");
    write_string(&mut out, &end);
    out.extend_from_slice(b",\"presence\":[");
    write_presence(&scope, &visits, &mut out).await?;
    out.extend_from_slice(b"],\"receipts\":[");
    out.extend_from_slice(&receipts);
    out.extend_from_slice(b"],\"rooms\":[");
    out.extend_from_slice(&rooms);
    out.extend_from_slice(b"]}");
    Ok(out)
}

fn filter(limit: usize, archived: bool) -> Result<Filter, ServiceError> {
    // The clients that ask here read push rules from their own endpoint.
    let definition = json!({"account_data": {"not_types": [PUSH_RULES]}, "room": {
        "include_leave": archived,
        "timeline": {"limit": limit},
        "ephemeral": {"types": ["m.receipt"]},
    }});
    Filter::parse(definition.to_string().as_bytes()).map_err(ServiceError::internal)
}

async fn write_presence(scope: &Scope<'_>, visits: &[Visit], out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let mut section = Vec::new();
    presence::write(scope, visits, &mut section).await?;
    for event in format::events_of_section("presence", &section) {
        format::write_presence(&event, out);
    }
    let (requester, store) = (scope.requester, &scope.ctx.store);
    if scope.ctx.config.social.presence && store.presence(requester.user).is_none() {
        // Everybody is shown himself, also who has not said anything yet: he is asking, so he was active just now.
        let own = PresenceRow {
            user: requester.user,
            state: PresenceState::Offline,
            status_msg: None,
            last_active_ms: scope.now_ms,
            currently_active: false,
        };
        room::write_presence(scope, &requester.user_id, Some(&own), out);
    }
    Ok(())
}

async fn write_room(
    scope: &Scope<'_>,
    part: &Part<'_>,
    loaded: &Loaded,
    end: &str,
    out: &mut Vec<u8>,
) -> Result<(), ServiceError> {
    let visit = part.visit;
    push_comma(out);
    out.extend_from_slice(b"{\"room_id\":");
    write_string(out, visit.room.id.as_str());
    out.extend_from_slice(b",\"membership\":");
    write_string(out, visit.member.membership.as_str());
    write_visibility(scope, visit, out).await?;
    match visit.kind {
        VisitKind::Invited => write_invite(scope, visit, out).await?,
        VisitKind::Knocked => {}
        VisitKind::Joined | VisitKind::NewlyJoined | VisitKind::Left { .. } | VisitKind::NeverIn => {
            write_content(scope, part, loaded, end, out).await;
        }
    }
    out.push(b'}');
    Ok(())
}

/// Appends whether the room is in the directory.
pub(super) async fn write_visibility(scope: &Scope<'_>, visit: &Visit, out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let is_listed = scope.ctx.store.is_listed(visit.room.nid).await?;
    out.extend_from_slice(b",\"visibility\":");
    write_string(out, if is_listed { "public" } else { "private" });
    Ok(())
}

async fn write_invite(scope: &Scope<'_>, visit: &Visit, out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let Some(invite) = scope.ctx.store.event(visit.member.event).await? else {
        return Err(ServiceError::internal(format!(
            "member event {} is not in events",
            visit.member.event.0
        )));
    };
    let mut event = Vec::new();
    let remarks = Remarks {
        membership: Some(Membership::Invite),
        ..Remarks::default()
    };
    event::write(scope, &invite, remarks, &mut event);
    out.extend_from_slice(b",\"inviter\":");
    write_string(out, invite.body.sender().as_str());
    out.extend_from_slice(b",\"invite\":");
    let mut formatted = Vec::new();
    format::write_event(&String::from_utf8_lossy(&event), &visit.room.id, &mut formatted);
    out.extend_from_slice(&formatted);
    Ok(())
}

async fn write_content(scope: &Scope<'_>, part: &Part<'_>, loaded: &Loaded, end: &str, out: &mut Vec<u8>) {
    let room_id = &part.visit.room.id;
    let start = PageToken::before(
        part.timeline.begins_before.unwrap_or_default(),
        scope.window.position.clone(),
    );
    out.extend_from_slice(b",\"messages\":{\"start\":");
    write_string(out, &start.to_string());
    out.extend_from_slice(b",\"end\":");
    write_string(out, end);
    out.extend_from_slice(b",\"chunk\":[");
    let mut chunk = Vec::new();
    for (event, remarks) in part.told_events(loaded) {
        // These clients would count twice what they sum up themselves.
        let remarks = Remarks {
            relations: None,
            ..remarks
        };
        write_one(scope, event, remarks, room_id, &mut chunk);
    }
    out.extend_from_slice(&chunk);
    out.extend_from_slice(b"]},\"state\":[");
    let mut state = Vec::new();
    for event in part.state_events(loaded) {
        scope.effort.spend(1).await;
        write_one(scope, event, Remarks::default(), room_id, &mut state);
    }
    out.extend_from_slice(&state);
    out.extend_from_slice(b"],\"account_data\":[");
    out.extend_from_slice(&part.account_data);
    out.push(b']');
}

fn write_one(
    scope: &Scope<'_>,
    event: &plexus_storage::events::StoredEvent,
    remarks: Remarks<'_>,
    room_id: &RoomId,
    out: &mut Vec<u8>,
) {
    let mut written = Vec::with_capacity(event.body.json().len());
    event::write(scope, event, remarks, &mut written);
    format::write_event(&String::from_utf8_lossy(&written), room_id, out);
}

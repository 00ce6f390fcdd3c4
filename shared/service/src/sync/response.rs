//! The answer: every room's part is read, then all events the parts name are loaded in one go, then the bytes are written.

use bytes::Bytes;
use futures_util::future::try_join_all;
use plexus_core::{event::json::write_string, token::PageToken};

use super::{
    SyncResponse, account_data, device_lists,
    event::{self, Remarks, push_comma, write_number},
    key_counts,
    part::{self, Loaded, Part},
    presence,
    scope::Scope,
    summary::Summary,
    timeline, to_device,
    visits::{Visit, VisitKind},
};
use crate::ServiceError;

/// Rooms that are read at the same time.
const ROOMS_AT_ONCE: usize = 8;

/// About how long an answer without rooms is.
const EMPTY_BYTES: usize = 256;

/// The rooms of each kind, as JSON members.
#[derive(Default)]
struct Rooms {
    join: Vec<u8>,
    invite: Vec<u8>,
    knock: Vec<u8>,
    leave: Vec<u8>,
}

/// Writes the answer. The second value is whether it tells anything.
pub(super) async fn write(scope: &Scope<'_>, visits: &[Visit]) -> Result<(SyncResponse, bool), ServiceError> {
    // Only one with lazy members has forgotten those it was sent; another gets all members anyway.
    if scope.window.since.is_none() && scope.filter.room.state.lazy_load_members {
        let device = (scope.requester.user, scope.requester.device_id.as_str());
        scope.ctx.sent_members.begin(device, scope.window.up_to);
    }
    let mut rooms = Rooms::default();
    for visits in visits.chunks(ROOMS_AT_ONCE) {
        let parts = try_join_all(visits.iter().map(|visit| part::read(scope, visit))).await?;
        let loaded = part::load(scope, &parts).await?;
        for part in &parts {
            let state = write_state(scope, part, &loaded).await;
            write_part(scope, part, &state, &loaded, &mut rooms);
        }
    }
    let Rooms {
        join,
        invite,
        knock,
        leave,
    } = &rooms;
    let sections: Vec<(&str, &Vec<u8>)> = [("invite", invite), ("join", join), ("knock", knock), ("leave", leave)]
        .into_iter()
        .filter(|(_, members)| !members.is_empty())
        .collect();
    let bytes: usize = sections.iter().map(|(_, members)| members.len() + 16).sum();
    let mut out = Vec::with_capacity(EMPTY_BYTES + bytes);
    out.push(b'{');
    let mut has_news = !sections.is_empty();
    has_news |= account_data::write(scope, &mut out).await?;
    has_news |= presence::write(scope, visits, &mut out).await?;
    has_news |= device_lists::write(scope, &mut out).await?;
    let to_device = to_device::write(scope, &mut out).await?;
    has_news |= to_device.has_news;
    has_news |= key_counts::write(scope, &mut out).await?;
    push_comma(&mut out);
    out.extend_from_slice(b"\"next_batch\":");
    write_string(&mut out, &scope.window.next(scope.ctx, to_device.told).to_string());
    out.extend_from_slice(b",\"rooms\":{");
    for (name, members) in &sections {
        push_comma(&mut out);
        write_string(&mut out, name);
        out.extend_from_slice(b":{");
        out.extend_from_slice(members);
        out.push(b'}');
    }
    out.extend_from_slice(b"}}");
    Ok((SyncResponse(Bytes::from(out)), has_news))
}

/// The events of the state part, or of the stripped state, separated by commas.
async fn write_state(scope: &Scope<'_>, part: &Part<'_>, loaded: &Loaded) -> Vec<u8> {
    let filter = &scope.filter.room.state;
    let is_stripped = matches!(part.visit.kind, VisitKind::Invited | VisitKind::Knocked);
    let mut out = part.preview.clone();
    for event in part.state_events(loaded) {
        scope.effort.spend(1).await;
        if is_stripped {
            push_comma(&mut out);
            out.extend_from_slice(event.body.stripped_json().get().as_bytes());
        } else if timeline::is_wanted(filter, event) {
            let remarks = Remarks {
                redaction: loaded.redaction(event),
                ..Remarks::default()
            };
            push_comma(&mut out);
            event::write(scope, event, remarks, &mut out);
        }
    }
    out
}

fn write_part(scope: &Scope<'_>, part: &Part<'_>, state: &[u8], loaded: &Loaded, rooms: &mut Rooms) {
    match part.visit.kind {
        VisitKind::Invited => write_stripped(part, "invite_state", state, &mut rooms.invite),
        VisitKind::Knocked => write_stripped(part, "knock_state", state, &mut rooms.knock),
        VisitKind::Joined => {
            if scope.full_state || part.has_news(state) {
                write_room(scope, part, state, loaded, &mut rooms.join);
            }
        }
        VisitKind::NewlyJoined => write_room(scope, part, state, loaded, &mut rooms.join),
        VisitKind::Left { .. } | VisitKind::NeverIn => write_room(scope, part, state, loaded, &mut rooms.leave),
    }
}

fn write_stripped(part: &Part<'_>, name: &str, state: &[u8], out: &mut Vec<u8>) {
    open_room(part, out);
    write_string(out, name);
    out.extend_from_slice(b":{\"events\":[");
    out.extend_from_slice(state);
    out.extend_from_slice(b"]}}");
}

fn write_room(scope: &Scope<'_>, part: &Part<'_>, state: &[u8], loaded: &Loaded, out: &mut Vec<u8>) {
    // Some clients look for this list where they are told of a room for the first time.
    let is_new = part.visit.kind == VisitKind::NewlyJoined;
    let state_name = if scope.state_after { "state_after" } else { "state" };
    open_room(part, out);
    for (name, events, is_always_there) in [
        ("account_data", part.account_data.as_slice(), false),
        ("ephemeral", part.ephemeral.as_slice(), is_new),
        (state_name, state, true),
    ] {
        if !events.is_empty() || is_always_there {
            push_comma(out);
            write_string(out, name);
            out.extend_from_slice(b":{\"events\":[");
            out.extend_from_slice(events);
            out.extend_from_slice(b"]}");
        }
    }
    if let Some(summary) = &part.summary {
        write_summary(summary, out);
    }
    write_timeline(scope, part, loaded, out);
    if matches!(part.visit.kind, VisitKind::Joined | VisitKind::NewlyJoined) {
        push_comma(out);
        out.extend_from_slice(&part.unread);
    }
    out.push(b'}');
}

fn open_room(part: &Part<'_>, out: &mut Vec<u8>) {
    push_comma(out);
    write_string(out, part.visit.room.id.as_str());
    out.extend_from_slice(b":{");
}

fn write_timeline(scope: &Scope<'_>, part: &Part<'_>, loaded: &Loaded, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"timeline\":{\"events\":[");
    for (event, remarks) in part.told_events(loaded) {
        push_comma(out);
        event::write(scope, event, remarks, out);
    }
    out.extend_from_slice(if part.timeline.limited {
        b"],\"limited\":true"
    } else {
        b"],\"limited\":false"
    });
    if let Some(order) = part.timeline.begins_before {
        out.extend_from_slice(b",\"prev_batch\":");
        let token = PageToken::before(order, scope.window.position.clone());
        write_string(out, &token.to_string());
    }
    out.push(b'}');
}

fn write_summary(summary: &Summary, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"summary\":{");
    if let Some(heroes) = &summary.heroes {
        out.extend_from_slice(b"\"m.heroes\":[");
        for hero in heroes {
            push_comma(out);
            write_string(out, &hero.user_id);
        }
        out.push(b']');
    }
    for (name, count) in [
        ("m.invited_member_count", summary.invited),
        ("m.joined_member_count", summary.joined),
    ] {
        push_comma(out);
        write_string(out, name);
        out.push(b':');
        write_number(out, i64::try_from(count).unwrap_or(i64::MAX));
    }
    out.push(b'}');
}

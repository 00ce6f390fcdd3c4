//! The answer: every room's part is read, then all events the parts name are loaded in one go, then the bytes are written.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures_util::future::try_join_all;
use plexus_core::{event::json::write_string, ids::EventNid, row::Membership, token::PageToken};
use plexus_storage::events::StoredEvent;

use super::{
    SyncResponse, account_data, device_lists, ephemeral,
    event::{self, Remarks, push_comma, write_number},
    key_counts, presence,
    scope::Scope,
    state, stripped,
    summary::{self, Summary},
    timeline::{self, Timeline},
    to_device, unread,
    visits::{Visit, VisitKind},
};
use crate::ServiceError;

/// Rooms that are read at the same time.
const ROOMS_AT_ONCE: usize = 8;

/// About how long an answer without rooms is.
const EMPTY_BYTES: usize = 256;

/// What is to be told of one room.
struct Part<'a> {
    visit: &'a Visit,
    timeline: Timeline,
    /// The events of the state, or the stripped state.
    state: Vec<EventNid>,
    /// For each event of the timeline, what it replaced.
    replaced: Vec<Option<EventNid>>,
    /// For each event of the timeline, the user's own member event then, where that has to be looked up.
    own_member: Vec<OwnMember>,
    summary: Option<Summary>,
    ephemeral: Vec<u8>,
    account_data: Vec<u8>,
    unread: Vec<u8>,
    /// Whether the user has read something.
    has_read: bool,
}

/// What is known of the user's own membership at an event.
#[derive(Clone, Copy, Debug)]
enum OwnMember {
    Known(Membership),
    /// What the member event says; without one he had not been anything to the room.
    As(Option<EventNid>),
}

type Loaded = HashMap<EventNid, Arc<StoredEvent>>;

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
        let parts = try_join_all(visits.iter().map(|visit| read(scope, visit))).await?;
        let loaded = load(scope, &parts).await?;
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

async fn read<'a>(scope: &Scope<'_>, visit: &'a Visit) -> Result<Part<'a>, ServiceError> {
    let mut part = Part {
        visit,
        timeline: Timeline::default(),
        state: Vec::new(),
        replaced: Vec::new(),
        own_member: Vec::new(),
        summary: None,
        ephemeral: Vec::new(),
        account_data: Vec::new(),
        unread: Vec::new(),
        has_read: false,
    };
    if matches!(visit.kind, VisitKind::Invited | VisitKind::Knocked) {
        part.state = stripped::collect(scope, visit).await?;
        return Ok(part);
    }
    part.timeline = timeline::read(scope, visit).await?;
    if matches!(visit.kind, VisitKind::Joined | VisitKind::NewlyJoined) {
        part.summary = summary::summarize(scope, visit, &part.timeline).await?;
        ephemeral::write(scope, visit, &mut part.ephemeral).await?;
        part.has_read = unread::write(scope, visit, &mut part.unread).await?;
    }
    if visit.kind != VisitKind::NeverIn {
        account_data::write_of_room(scope, visit, &mut part.account_data).await?;
    }
    let heroes = part
        .summary
        .as_ref()
        .and_then(|summary| summary.heroes.as_deref())
        .unwrap_or_default();
    part.state = state::collect(scope, visit, &part.timeline, heroes).await?;
    for event in &part.timeline.events {
        part.replaced.push(match event.state_key {
            Some(key) => {
                scope
                    .ctx
                    .store
                    .state_get(visit.room.nid, event.state_before, key)
                    .await?
            }
            None => None,
        });
    }
    part.own_member = own_members(scope, visit, &part.timeline).await?;
    Ok(part)
}

/// What the user was to the room at each event. Of those from before he joined, many share a state.
async fn own_members(scope: &Scope<'_>, visit: &Visit, timeline: &Timeline) -> Result<Vec<OwnMember>, ServiceError> {
    let store = &scope.ctx.store;
    let mut found: Vec<OwnMember> = Vec::with_capacity(timeline.events.len());
    let mut last_looked_up = None;
    for event in &timeline.events {
        if let Some(known) = Timeline::membership_at(visit, event) {
            found.push(OwnMember::Known(known));
            continue;
        }
        let member = match last_looked_up {
            Some((root, member)) if root == event.room_root => member,
            _ => match store
                .state_key_nid("m.room.member", scope.requester.user_id.as_str())
                .await?
            {
                Some(key) => store.state_get(visit.room.nid, event.room_root, key).await?,
                None => None,
            },
        };
        last_looked_up = Some((event.room_root, member));
        found.push(OwnMember::As(member));
    }
    Ok(found)
}

/// All events that the parts name, in one go.
async fn load(scope: &Scope<'_>, parts: &[Part<'_>]) -> Result<Loaded, ServiceError> {
    let mut nids: Vec<EventNid> = Vec::new();
    for part in parts {
        nids.extend(&part.state);
        nids.extend(part.replaced.iter().flatten());
        nids.extend(part.own_member.iter().filter_map(|member| match member {
            OwnMember::Known(_) => None,
            OwnMember::As(event) => *event,
        }));
        nids.extend(part.timeline.events.iter().filter_map(|event| event.redacted_by));
    }
    if nids.is_empty() {
        return Ok(Loaded::new());
    }
    let events = scope.ctx.store.events(&nids).await?;
    let mut loaded: Loaded = nids.into_iter().zip(events).collect();
    // The state may have redacted events too; what took their content is seldom there already.
    let redactions: Vec<EventNid> = loaded
        .values()
        .filter_map(|event| event.redacted_by)
        .filter(|redaction| !loaded.contains_key(redaction))
        .collect();
    let events = scope.ctx.store.events(&redactions).await?;
    loaded.extend(redactions.into_iter().zip(events));
    Ok(loaded)
}

/// The events of the state part, or of the stripped state, separated by commas.
async fn write_state(scope: &Scope<'_>, part: &Part<'_>, loaded: &Loaded) -> Vec<u8> {
    let filter = &scope.filter.room.state;
    let is_stripped = matches!(part.visit.kind, VisitKind::Invited | VisitKind::Knocked);
    let mut out = Vec::new();
    for event in part.state.iter().filter_map(|nid| loaded.get(nid)) {
        scope.effort.spend(1).await;
        if is_stripped {
            push_comma(&mut out);
            out.extend_from_slice(event.body.stripped_json().get().as_bytes());
        } else if timeline::is_wanted(filter, event) {
            let remarks = Remarks {
                redaction: redaction(event, loaded),
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

impl Part<'_> {
    /// Whether there is anything to tell of a room that the device knows.
    fn has_news(&self, state: &[u8]) -> bool {
        let has_events = !self.timeline.events.is_empty() || self.timeline.limited || !state.is_empty();
        has_events
            || self.has_read
            || self.summary.is_some()
            || !self.ephemeral.is_empty()
            || !self.account_data.is_empty()
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
    // Some clients look for all lists where they are told of a room for the first time.
    let is_new = part.visit.kind == VisitKind::NewlyJoined;
    let state_name = if scope.state_after { "state_after" } else { "state" };
    open_room(part, out);
    for (name, events, is_always_there) in [
        ("account_data", part.account_data.as_slice(), is_new),
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
    let remembered = part.replaced.iter().zip(&part.own_member);
    for (event, (replaced, own_member)) in part.timeline.events.iter().zip(remembered) {
        push_comma(out);
        let remarks = Remarks {
            membership: Some(own_membership(*own_member, loaded)),
            replaced: replaced.and_then(|nid| loaded.get(&nid)).map(|event| &**event),
            redaction: redaction(event, loaded),
        };
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

fn own_membership(member: OwnMember, loaded: &Loaded) -> Membership {
    let event = match member {
        OwnMember::Known(membership) => return membership,
        OwnMember::As(event) => event.and_then(|event| loaded.get(&event)),
    };
    let word = event.and_then(|event| event.body.content_string("membership"));
    word.and_then(|word| Membership::parse(&word))
        .unwrap_or(Membership::Leave)
}

fn redaction<'a>(event: &StoredEvent, loaded: &'a Loaded) -> Option<&'a StoredEvent> {
    loaded.get(&event.redacted_by?).map(|redaction| &**redaction)
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

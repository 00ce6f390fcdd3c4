//! What is to be told of one room: everything is read before anything is written.

use std::{collections::HashMap, sync::Arc};

use plexus_core::{ids::EventNid, row::Membership};
use plexus_storage::events::StoredEvent;

use super::{
    account_data, ephemeral,
    event::Remarks,
    scope::Scope,
    state, stripped,
    summary::{self, Summary},
    timeline::{self, Timeline},
    unread,
    visits::{Visit, VisitKind},
};
use crate::{
    ServiceError,
    rooms::{
        aggregate::{Relations, aggregate},
        present::Style,
    },
};

/// What is to be told of one room.
pub(super) struct Part<'a> {
    pub(super) visit: &'a Visit,
    pub(super) timeline: Timeline,
    /// The events of the state, or the stripped state.
    pub(super) state: Vec<EventNid>,
    /// More of the stripped state: what the user was told by others, separated by commas.
    pub(super) preview: Vec<u8>,
    /// For each event of the timeline, what it replaced.
    replaced: Vec<Option<EventNid>>,
    /// For each event of the timeline, the user's own member event then, where that has to be looked up.
    own_member: Vec<OwnMember>,
    pub(super) summary: Option<Summary>,
    pub(super) ephemeral: Vec<u8>,
    pub(super) account_data: Vec<u8>,
    pub(super) unread: Vec<u8>,
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

/// The events that parts name, and what relates to those of their timelines.
#[derive(Default)]
pub(super) struct Loaded {
    events: HashMap<EventNid, Arc<StoredEvent>>,
    relations: Relations,
}

impl Part<'_> {
    /// Whether there is anything to tell of a room that the device knows.
    pub(super) fn has_news(&self, state: &[u8]) -> bool {
        let has_events = !self.timeline.events.is_empty() || self.timeline.limited || !state.is_empty();
        has_events
            || self.has_read
            || self.summary.is_some()
            || !self.ephemeral.is_empty()
            || !self.account_data.is_empty()
    }

    /// The events of the state part, those that have been loaded.
    pub(super) fn state_events<'a>(&'a self, loaded: &'a Loaded) -> impl Iterator<Item = &'a StoredEvent> {
        self.state
            .iter()
            .filter_map(|nid| loaded.events.get(nid))
            .map(AsRef::as_ref)
    }

    /// The events of the timeline, with what is said of them.
    pub(super) fn told_events<'a>(
        &'a self,
        loaded: &'a Loaded,
    ) -> impl Iterator<Item = (&'a StoredEvent, Remarks<'a>)> {
        let remembered = self.replaced.iter().zip(&self.own_member);
        let events = self.timeline.events.iter().zip(remembered);
        events.map(|(event, (replaced, own_member))| {
            let remarks = Remarks {
                membership: Some(loaded.membership(*own_member)),
                replaced: replaced.and_then(|nid| loaded.events.get(&nid)).map(AsRef::as_ref),
                redaction: loaded.redaction(event),
                relations: loaded.relations.get(&event.nid).map(Vec::as_slice),
            };
            (&**event, remarks)
        })
    }
}

impl Loaded {
    /// The redaction that took an event's content.
    pub(super) fn redaction(&self, event: &StoredEvent) -> Option<&StoredEvent> {
        self.events.get(&event.redacted_by?).map(AsRef::as_ref)
    }

    fn membership(&self, member: OwnMember) -> Membership {
        let event = match member {
            OwnMember::Known(membership) => return membership,
            OwnMember::As(event) => event.and_then(|event| self.events.get(&event)),
        };
        let word = event.and_then(|event| event.body.content_string("membership"));
        word.and_then(|word| Membership::parse(&word))
            .unwrap_or(Membership::Leave)
    }
}

/// Reads what is to be told of a room.
pub(super) async fn read<'a>(scope: &Scope<'_>, visit: &'a Visit) -> Result<Part<'a>, ServiceError> {
    let mut part = Part {
        visit,
        timeline: Timeline::default(),
        state: Vec::new(),
        preview: Vec::new(),
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
        part.preview = stripped::preview(scope, visit).await?;
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
        let replaced = replaced(scope, visit, &part.timeline, event).await?;
        part.replaced.push(replaced);
    }
    part.own_member = own_members(scope, visit, &part.timeline).await?;
    Ok(part)
}

/// What an event replaced, if the user may know.
async fn replaced(
    scope: &Scope<'_>,
    visit: &Visit,
    timeline: &Timeline,
    event: &StoredEvent,
) -> Result<Option<EventNid>, ServiceError> {
    let Some(key) = event.state_key else { return Ok(None) };
    let store = &scope.ctx.store;
    match store.state_get(visit.room.nid, event.state_before, key).await? {
        Some(replaced) if timeline::may_tell_replaced(scope, visit, timeline, event, replaced).await? => {
            Ok(Some(replaced))
        }
        Some(_) | None => Ok(None),
    }
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
pub(super) async fn load(scope: &Scope<'_>, parts: &[Part<'_>]) -> Result<Loaded, ServiceError> {
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
    let told: Vec<Arc<StoredEvent>> = parts.iter().flat_map(|part| &part.timeline.events).cloned().collect();
    let style = Style {
        without_room_id: true,
        format: scope.filter.event_format,
        fields: None,
    };
    let relations = aggregate(scope.ctx, scope.requester, style, scope.window.up_to, &told).await?;
    if nids.is_empty() {
        return Ok(Loaded {
            relations,
            ..Loaded::default()
        });
    }
    let events = scope.ctx.store.events_there(&nids).await?;
    let mut loaded: HashMap<EventNid, Arc<StoredEvent>> = events.into_iter().map(|event| (event.nid, event)).collect();
    // The state may have redacted events too; what took their content is seldom there already.
    let redactions: Vec<EventNid> = loaded
        .values()
        .filter_map(|event| event.redacted_by)
        .filter(|redaction| !loaded.contains_key(redaction))
        .collect();
    let events = scope.ctx.store.events_there(&redactions).await?;
    loaded.extend(events.into_iter().map(|event| (event.nid, event)));
    Ok(Loaded {
        events: loaded,
        relations,
    })
}

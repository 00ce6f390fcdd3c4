//! The events of a room, one after the other: what each of them should be, and what it should lead to.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use plexus_core::{
    auth::{self, AuthEvent},
    event::EventBody,
    ids::{EventNid, NodeId},
    position::Sequence,
    room_version::EventIdFormat,
    row::EventStatus,
};
use plexus_storage::{Store, collect, events::StoredEvent, rooms::RoomInfo};
use ruma::{EventId, OwnedEventId, ServerName};

use super::{Verified, VerifyError, named, sorted, states::States};
use crate::facts::Nodes;

/// Events that are read at once.
const EVENTS_MAX: i64 = 500;

/// An event that has its place in the history, as it should be.
struct Placed {
    nid: EventNid,
    status: EventStatus,
    state_after: NodeId,
    depth: i64,
    prev_events: Vec<OwnedEventId>,
    is_history: bool,
}

/// Whether an event was fetched later, as history.
fn is_history(event: &StoredEvent) -> bool {
    event.position == 0
}

/// What is to be written of an event that is not as it should be.
#[derive(Clone, Debug)]
pub(super) struct Fix {
    pub(super) event: EventNid,
    pub(super) status: EventStatus,
    pub(super) state_before: NodeId,
    pub(super) state_after: NodeId,
    pub(super) room_root: NodeId,
    pub(super) auth_parents: Option<Vec<EventNid>>,
    /// Its place in the timeline.
    pub(super) room_order: Option<i64>,
}

/// What is to be written of the events.
#[derive(Debug)]
pub(super) struct Right {
    pub(super) fixes: Vec<Fix>,
    pub(super) made: Arc<Nodes>,
    pub(super) next: NodeId,
}

/// How far a room has been gone through.
pub(super) struct Walk<'a> {
    pub(super) states: States<'a>,
    server_name: &'a ServerName,
    placed: HashMap<OwnedEventId, Placed>,
    /// The ends of the branches.
    tips: Vec<OwnedEventId>,
    /// The state that they come to together.
    pub(super) root: NodeId,
    /// The last place in the timeline.
    pub(super) room_order: i64,
    fixes: Vec<Fix>,
}

impl<'a> Walk<'a> {
    /// Before the first event; all of them are known by their ids.
    pub(super) async fn begin(
        store: &'a Store,
        room: &Arc<RoomInfo>,
        server_name: &'a ServerName,
        next: NodeId,
    ) -> Result<Self, VerifyError> {
        let mut states = States::new(store, Arc::clone(room), next);
        let mut after = (Sequence::MIN, EventNid(0));
        while let Some(events) = page(&states, &mut after).await? {
            for event in events {
                states.by_id.insert(event.body.event_id().to_owned(), event.nid);
                let is_create = event.body.is_state("m.room.create", "");
                if is_create && (states.create.is_none() || event.status == EventStatus::Accepted) {
                    states.create = Some(event);
                }
            }
        }
        Ok(Self {
            states,
            server_name,
            placed: HashMap::new(),
            tips: Vec::new(),
            root: NodeId::EMPTY,
            room_order: i64::MIN,
            fixes: Vec::new(),
        })
    }

    /// Goes through all events.
    pub(super) async fn go(&mut self, found: &mut Verified) -> Result<(), VerifyError> {
        let mut after = (Sequence::MIN, EventNid(0));
        while let Some(events) = page(&self.states, &mut after).await? {
            for event in events {
                found.events += 1;
                self.check_id(&event, found);
                let parents = self.check_auth_parents(&event, found);
                if event.status == EventStatus::Outlier {
                    self.check_outlier(&event, parents, found);
                } else {
                    self.place(&event, parents, found).await?;
                }
            }
        }
        Ok(())
    }

    /// The ends of the branches: their numbers, and the greatest depth among them.
    pub(super) fn ends(&self) -> (Vec<EventNid>, i64) {
        let tips = self.tips.iter().filter_map(|tip| self.placed.get(tip));
        let depth = tips.clone().map(|tip| tip.depth).max().unwrap_or_default();
        (sorted(tips.map(|tip| tip.nid)), depth)
    }

    pub(super) fn into_right(self) -> Right {
        Right {
            fixes: self.fixes,
            made: self.states.made,
            next: self.states.next,
        }
    }

    /// From version 3 on the id is the hash of what a redaction leaves of the event.
    fn check_id(&self, event: &StoredEvent, found: &mut Verified) {
        let rules = self.states.room.version.rules();
        let hash = event.body.reference_hash(rules);
        let expected = match rules.event_id {
            EventIdFormat::Assigned => return,
            EventIdFormat::Hash => format!("${}", plexus_core::event::hash::encode_base64(&hash)),
            EventIdFormat::UrlSafeHash => format!("${}", plexus_core::event::hash::encode_url_safe_base64(&hash)),
        };
        if event.body.event_id() != expected.as_str() {
            found.disagree(format!("{}: its content has the id {expected}", named(event)));
        }
    }

    /// The events that allow a state event, if other ones are stored.
    fn check_auth_parents(&self, event: &StoredEvent, found: &mut Verified) -> Option<Vec<EventNid>> {
        // Rows of an older build do not have them.
        let stored = event.auth_parents.as_ref()?;
        let expected = self.states.auth_parents(event);
        if sorted(stored.iter().copied()) == expected {
            return None;
        }
        found.disagree(format!(
            "{}: auth_parents are {stored:?} and should be {expected:?}",
            named(event)
        ));
        Some(expected)
    }

    fn check_outlier(&mut self, event: &StoredEvent, parents: Option<Vec<EventNid>>, found: &mut Verified) {
        if event.room_order.is_some() {
            found.disagree(format!("{}: an outlier with a place in the timeline", named(event)));
        }
        if event.room_order.is_some() || parents.is_some() {
            self.fixes.push(Fix {
                event: event.nid,
                status: event.status,
                state_before: event.state_before,
                state_after: event.state_after,
                room_root: event.room_root,
                auth_parents: parents,
                room_order: None,
            });
        }
    }

    /// Puts an event in its place, and compares that with the one that is stored.
    async fn place(
        &mut self,
        event: &Arc<StoredEvent>,
        parents: Option<Vec<EventNid>>,
        found: &mut Verified,
    ) -> Result<(), VerifyError> {
        let first_made = self.states.next;
        let mut fix = Fix {
            event: event.nid,
            status: event.status,
            state_before: event.state_before,
            state_after: event.state_after,
            room_root: event.room_root,
            auth_parents: parents,
            room_order: event.room_order,
        };
        let mut is_right = fix.auth_parents.is_none();
        let before = self.state_before(event).await?;
        is_right &= self
            .compare(event, "state_before", before, &mut fix.state_before, found)
            .await?;
        is_right &= self.check_status(event, &mut fix, found).await?;
        let after = self.state_after(event, &fix).await?;
        is_right &= self
            .compare(event, "state_after", after, &mut fix.state_after, found)
            .await?;
        self.advance(event, &fix);
        let root = if is_history(event) {
            Some(fix.state_after)
        } else {
            self.room_root().await?
        };
        is_right &= self
            .compare(event, "room_root", root, &mut fix.room_root, found)
            .await?;
        if !is_history(event) {
            self.root = fix.room_root;
        }
        is_right &= self.check_order(event, &mut fix, found);
        if is_right {
            self.states.forget_from(first_made);
        } else {
            self.fixes.push(fix);
        }
        Ok(())
    }

    /// Compares a state with the one that is stored, which is replaced if it is another one or cannot be read; whether it is right.
    async fn compare(
        &self,
        event: &StoredEvent,
        what: &str,
        expected: Option<NodeId>,
        stored: &mut NodeId,
        found: &mut Verified,
    ) -> Result<bool, VerifyError> {
        let Some(expected) = expected else {
            found.disagree(format!(
                "{}: {what} cannot be worked out, a state before it is damaged",
                named(event)
            ));
            return Ok(true);
        };
        let wrong = match self.states.is_same(expected, *stored).await? {
            Some(true) => return Ok(true),
            Some(false) => "is another state",
            None => "cannot be read",
        };
        found.disagree(format!("{}: {what} (node {}) {wrong}", named(event), stored.0));
        *stored = expected;
        Ok(false)
    }

    /// What the predecessors come to together. Where one is not here, or was not when the event came, what is stored, if it can be read.
    async fn state_before(&mut self, event: &StoredEvent) -> Result<Option<NodeId>, VerifyError> {
        let mut roots = Vec::new();
        for id in event.body.prev_events() {
            let placed = self.placed.get(id);
            let Some(placed) = placed.filter(|placed| is_history(event) || !placed.is_history) else {
                let entries = self.states.entries(event.state_before).await?;
                return Ok(entries.map(|_| event.state_before));
            };
            roots.push(placed.state_after);
        }
        self.states.resolve(roots).await
    }

    async fn state_after(&mut self, event: &StoredEvent, fix: &Fix) -> Result<Option<NodeId>, VerifyError> {
        match event.state_key {
            Some(key) if matches!(fix.status, EventStatus::Accepted | EventStatus::SoftFailed) => {
                self.states.insert(fix.state_before, key, event.nid).await
            }
            Some(_) | None => Ok(Some(fix.state_before)),
        }
    }

    async fn room_root(&mut self) -> Result<Option<NodeId>, VerifyError> {
        let tips = self.tips.iter().filter_map(|tip| self.placed.get(tip));
        let roots = tips.map(|tip| tip.state_after).collect();
        self.states.resolve(roots).await
    }

    /// Compares what became of an event with what the rules make of it.
    async fn check_status(
        &mut self,
        event: &StoredEvent,
        fix: &mut Fix,
        found: &mut Verified,
    ) -> Result<bool, VerifyError> {
        let judged = self.judge(event, fix.state_before).await?;
        let Some((status, why)) = judged.filter(|(status, _)| *status != fix.status) else {
            return Ok(true);
        };
        found.disagree(format!(
            "{}: stored as {:?}, should be {status:?}{}",
            named(event),
            fix.status,
            why.map(|why| format!(": {why}")).unwrap_or_default()
        ));
        fix.status = status;
        Ok(false)
    }

    /// What the rules make of an event; none if that cannot be known any more: what a redaction took may have decided.
    async fn judge(
        &self,
        event: &StoredEvent,
        before: NodeId,
    ) -> Result<Option<(EventStatus, Option<String>)>, VerifyError> {
        let rules = self.states.room.version.rules();
        let nids = self.states.auth_parents(event);
        let auth = self.states.store.events_there(&nids).await?;
        let allowing = self.allowing(event, before).await?;
        let is_redacted = |event: &StoredEvent| event.redacted_by.is_some();
        if is_redacted(event) || auth.iter().chain(&allowing).any(|event| is_redacted(event)) {
            return Ok(None);
        }
        if auth.len() < event.body.auth_events().len() {
            return Ok(None);
        }
        let named: Vec<AuthEvent<'_>> = auth.iter().map(|event| self.auth_event(event)).collect();
        let create = self.states.create.as_deref();
        let refused = auth::check_auth_events(rules, &event.body, &named, create.map(|create| self.auth_event(create)))
            .and_then(|()| self.check(event, &auth))
            .and_then(|()| self.check(event, &allowing));
        if let Err(error) = refused {
            return Ok(Some((EventStatus::Rejected, Some(error.to_string()))));
        }
        // What users of this server send is decided on the room's state to begin with.
        let is_ours = event.body.sender().server_name() == self.server_name;
        let is_news = !is_history(event);
        if is_news && !is_ours && !self.tips.is_empty() && self.states.is_same(before, self.root).await? == Some(false)
        {
            let now = self.allowing(event, self.root).await?;
            if now.iter().any(|event| is_redacted(event)) {
                return Ok(None);
            }
            if let Err(error) = self.check(event, &now) {
                return Ok(Some((EventStatus::SoftFailed, Some(error.to_string()))));
            }
        }
        Ok(Some((EventStatus::Accepted, None)))
    }

    /// The events of a state that decide whether it allows an event.
    async fn allowing(&self, event: &StoredEvent, root: NodeId) -> Result<Vec<Arc<StoredEvent>>, VerifyError> {
        let body = &event.body;
        let rules = self.states.room.version.rules();
        let mut allowing = Vec::new();
        let types = auth::auth_types(
            rules,
            body.kind(),
            body.sender().as_str(),
            body.state_key(),
            body.content(),
        );
        for (kind, key) in types {
            allowing.extend(self.states.get(root, kind, &key).await?);
        }
        Ok(allowing)
    }

    fn check(&self, event: &StoredEvent, state: &[Arc<StoredEvent>]) -> Result<(), auth::AuthError> {
        let find = |kind: &str, key: &str| -> Option<Arc<EventBody>> {
            let event = state.iter().find(|event| event.body.is_state(kind, key))?;
            Some(Arc::clone(&event.body))
        };
        let create = self.states.create.as_ref().map(|create| &*create.body);
        auth::check(self.states.room.version.rules(), &event.body, create, &find)
    }

    fn auth_event<'e>(&self, event: &'e StoredEvent) -> AuthEvent<'e> {
        AuthEvent {
            body: &event.body,
            is_rejected: self.states.rejected.contains(&event.nid),
        }
    }

    /// Goes on past an event.
    fn advance(&mut self, event: &StoredEvent, fix: &Fix) {
        if fix.status == EventStatus::Rejected {
            self.states.rejected.insert(event.nid);
        }
        let id = event.body.event_id().to_owned();
        let placed = Placed {
            nid: event.nid,
            status: fix.status,
            state_after: fix.state_after,
            depth: event.body.depth(),
            prev_events: event.body.prev_events().to_vec(),
            is_history: is_history(event),
        };
        self.placed.insert(id.clone(), placed);
        if fix.status == EventStatus::Accepted && !is_history(event) {
            let followed = self.followed_by(&id);
            self.tips.retain(|tip| !followed.contains(tip));
            self.tips.push(id);
        }
    }

    /// What an event follows, through those that changed nothing.
    fn followed_by(&self, id: &EventId) -> HashSet<OwnedEventId> {
        let mut followed = HashSet::new();
        let mut open: Vec<&OwnedEventId> = self.placed[id].prev_events.iter().collect();
        while let Some(id) = open.pop() {
            if !followed.insert(id.clone()) {
                continue;
            }
            let passed = self
                .placed
                .get(id)
                .filter(|placed| matches!(placed.status, EventStatus::Rejected | EventStatus::SoftFailed));
            open.extend(passed.into_iter().flat_map(|placed| &placed.prev_events));
        }
        followed
    }

    /// Only what is part of the history has a place in the timeline; one that has none gets the last.
    fn check_order(&mut self, event: &StoredEvent, fix: &mut Fix, found: &mut Verified) -> bool {
        let is_listed = fix.status == EventStatus::Accepted;
        let is_right = event.room_order.is_some() == is_listed;
        if !is_right && fix.status == event.status {
            let what = if is_listed { "no place" } else { "a place" };
            found.disagree(format!("{}: it has {what} in the timeline", named(event)));
        }
        self.room_order = self.room_order.max(event.room_order.unwrap_or(i64::MIN));
        if !is_right {
            fix.room_order = is_listed.then(|| self.room_order.saturating_add(1));
            self.room_order = self.room_order.max(fix.room_order.unwrap_or(i64::MIN));
        }
        is_right
    }
}

/// Some more events of the room, in the order in which they came.
async fn page(
    states: &States<'_>,
    after: &mut (Sequence, EventNid),
) -> Result<Option<Vec<Arc<StoredEvent>>>, VerifyError> {
    let named = collect::named_after(states.store.db(), states.room.nid, *after, EVENTS_MAX).await?;
    let Some(last) = named.last() else { return Ok(None) };
    *after = (last.position, last.event);
    let nids: Vec<EventNid> = named.iter().map(|named| named.event).collect();
    let mut events = states.store.events(&nids).await?;
    events.retain(|event| !event.is_apart());
    Ok(Some(events))
}

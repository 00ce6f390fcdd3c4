//! Completing the state of a room that was joined with a part of it: the rest is put in before the event with which the room began here, and what came since
//! is gone through again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use plexus_core::{
    auth,
    ids::{EventNid, NodeId},
    position::Sequence,
    row::{EventStatus, Row},
};
use plexus_proto::{CommandResult, CompleteState, EventOutcome, event_outcome::Outcome};
use plexus_storage::{
    collect,
    events::{self, StoredEvent},
    partial_rooms,
};
use ruma::{EventId, OwnedEventId};

use super::{
    Decision,
    event::find,
    head::{Growth, Known, LaneState, PendingHead},
    persist::{changes_state, members_between, write_members},
    receive::arrival::given_state,
};
use crate::{change_set::ChangeSet, error::CommandError, leader::Leader};

/// Events that are read at once.
const EVENTS_PER_PAGE: i64 = 500;

/// Puts in all of the state, if it is not all here yet.
pub(super) async fn complete_state(
    leader: &Leader,
    state: &mut LaneState,
    command: &CompleteState,
) -> Result<Decision, CommandError> {
    let mut head = state.head(leader, &command.room_id).await?.clone();
    let event_id = EventId::parse(&command.event_id).map_err(|_| CommandError::Malformed("event id"))?;
    let first = head.find_event(leader, &event_id).await?;
    let Some(first) = first.filter(|event| head.partial == Some(event.nid)) else {
        return Ok(Decision::default());
    };
    let mut growth = head.growth(leader);
    let before = match given_state(leader, &mut head, &command.state, &mut growth).await? {
        Ok(before) => before,
        Err(missing) => return Ok(missing_first(&event_id, &missing)),
    };
    head.forget_states();
    let mut again = Again::new(first.nid, before);
    let mut after = (Sequence::MIN, EventNid(0));
    loop {
        let page = collect::named_after(leader.store.db(), head.info.nid, after, EVENTS_PER_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = (last.position, last.event);
        let nids: Vec<EventNid> = page.iter().map(|named| named.event).collect();
        for event in leader.store.events(&nids).await? {
            again.place(leader, &mut head, &event, &mut growth).await?;
        }
    }
    let change = again.end(leader, &mut head, first, growth).await?;
    state.set_head(head);
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

fn missing_first(event_id: &EventId, missing: &[OwnedEventId]) -> Decision {
    let outcome = EventOutcome {
        event_id: event_id.to_string(),
        outcome: Outcome::Missing.into(),
        missing: missing.iter().map(ToString::to_string).collect(),
        ..EventOutcome::default()
    };
    let result = CommandResult {
        outcomes: vec![outcome],
        ..CommandResult::default()
    };
    Decision {
        result,
        ..Decision::default()
    }
}

/// The room's events on their way to their places once more.
struct Again {
    first: EventNid,
    /// The state before the first.
    before: NodeId,
    placed: HashMap<OwnedEventId, Known>,
    tips: Vec<Known>,
    root: NodeId,
    change: ChangeSet,
    changed: Vec<EventNid>,
}

impl Again {
    fn new(first: EventNid, before: NodeId) -> Self {
        Self {
            first,
            before,
            placed: HashMap::new(),
            tips: Vec::new(),
            root: NodeId::EMPTY,
            change: ChangeSet::default(),
            changed: Vec::new(),
        }
    }

    /// Works out anew what comes of an event.
    async fn place(
        &mut self,
        leader: &Leader,
        head: &mut PendingHead,
        stored: &Arc<StoredEvent>,
        growth: &mut Growth,
    ) -> Result<(), CommandError> {
        let mut event = Known::from(&**stored);
        // Outliers, and what has come of the history before: nothing follows for them.
        if !event.has_place() || stored.position == 0 {
            return Ok(());
        }
        let before = self.state_before(leader, head, stored, growth).await?;
        if event.status == EventStatus::Accepted && !is_allowed(leader, head, &event, (before, growth)).await? {
            event.status = EventStatus::Rejected;
        }
        event.state_after = match stored.state_key.filter(|_| changes_state(event.status)) {
            Some(key) => head.insert_state(leader, before, &[(key, event.nid)], growth).await?,
            None => before,
        };
        self.advance(&event);
        self.root = head.state_of(leader, &self.tips, growth).await?;
        let states = events::States {
            before,
            after: event.state_after,
            room_root: self.root,
        };
        let order = stored.room_order.filter(|_| event.status == EventStatus::Accepted);
        let statement = events::set_right(event.nid, event.status, order, states, None);
        self.change.statements.push(statement);
        self.changed.push(event.nid);
        self.placed.insert(event.body.event_id().to_owned(), event);
        Ok(())
    }

    /// What its predecessors come to now. Where they are not here, it was told when the event came, and in full.
    async fn state_before(
        &self,
        leader: &Leader,
        head: &PendingHead,
        event: &StoredEvent,
        growth: &mut Growth,
    ) -> Result<NodeId, CommandError> {
        if event.nid == self.first {
            return Ok(self.before);
        }
        let prev = event.body.prev_events().iter();
        let prev: Option<Vec<&Known>> = prev.map(|id| self.placed.get(id)).collect();
        match prev {
            Some(prev) => head.state_of(leader, prev, growth).await,
            None => Ok(event.state_before),
        }
    }

    /// The ends of the branches once the event is in.
    fn advance(&mut self, event: &Known) {
        if event.status != EventStatus::Accepted {
            return;
        }
        let mut followed = HashSet::new();
        let mut open: Vec<OwnedEventId> = event.body.prev_events().to_vec();
        while let Some(id) = open.pop() {
            let passed = self
                .placed
                .get(&id)
                .filter(|event| event.status != EventStatus::Accepted);
            if followed.insert(id) {
                open.extend(passed.into_iter().flat_map(|event| event.body.prev_events().to_vec()));
            }
        }
        self.tips.retain(|tip| !followed.contains(tip.body.event_id()));
        self.tips.push(event.clone());
    }

    /// Moves the head to where the events lead now, and says what has changed.
    async fn end(
        mut self,
        leader: &Leader,
        head: &mut PendingHead,
        first: Known,
        growth: Growth,
    ) -> Result<ChangeSet, CommandError> {
        let room = head.info.nid;
        let roots = (head.root, self.root);
        let members = members_between(leader, head, roots, &first, &growth, &mut self.change).await?;
        let mut change = self.change;
        head.keep_growth(growth, &mut change);
        head.turn_to(self.tips, self.root);
        // Nobody is told of it by the first event, which was told long ago.
        write_members(head, EventNid(0), &members, &mut change);
        let place = change.next_sequence();
        change.statements.push(partial_rooms::complete(room, place));
        change.rows.push(Row::Partial { room });
        change.rows.push(Row::Purged {
            room,
            events: self.changed,
            whole: false,
        });
        Ok(change)
    }
}

/// Whether the state before an event allows it.
async fn is_allowed(
    leader: &Leader,
    head: &mut PendingHead,
    event: &Known,
    before: (NodeId, &Growth),
) -> Result<bool, CommandError> {
    let (rules, body) = (head.info.version.rules(), &event.body);
    let (kind, sender, content) = (body.kind(), body.sender().as_str(), body.content());
    let types = auth::auth_types(rules, kind, sender, body.state_key(), content);
    let state = head.state_events_at(leader, &types, before).await?;
    let create = head.create.as_ref().map(|create| &*create.body);
    Ok(auth::check(rules, body, create, &|kind, key| find(&state, kind, key)).is_ok())
}

//! A room's pending head: where its next event goes, ahead of the store.

mod branches;
mod gaps;
mod growth;
mod lookup;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use plexus_core::{
    event::{EventBody, hash::Hash},
    ids::{EventNid, NodeId, UserNid},
    room_version::RoomIdFormat,
    row::{EventStatus, Membership, ReceiptKind},
    state::{Node, RoomState},
};
use plexus_proto::MatrixError;
use plexus_storage::{
    events::StoredEvent,
    partial_rooms,
    room_heads::{self, RoomHead},
    rooms::RoomInfo,
};
use ruma::{OwnedEventId, RoomId};

pub(super) use self::branches::TipsAfter;
use self::gaps::Gaps;
pub(crate) use self::growth::Growth;

use super::Decision;
use crate::{
    change_set::ChangeSet,
    error::{CommandError, NO_GUESTS, outsider},
    leader::Leader,
};

/// State nodes, events and receipts a head keeps in memory once they are committed.
const OVERLAY_MAX: usize = 4096;

/// What the events among them may take up: four thousand of the largest would be a quarter of a gigabyte for each room.
const EVENT_BYTES_MAX: usize = 4 << 20;

/// Sets of states whose resolution a head keeps in memory.
const RESOLVED_MAX: usize = 64;

/// What a lane remembers between turns.
#[derive(Debug, Default)]
pub(crate) struct LaneState {
    head: Option<PendingHead>,
    /// What a user's lane has set of his account data.
    pub(super) account_data: super::account_data::Pending,
    /// In an alias's lane, whether the alias is there, once a Command of this turn has changed that.
    pub(super) alias: Option<bool>,
}

impl LaneState {
    /// The room's head, loaded when this is the lane's first Command.
    pub(super) async fn head(&mut self, leader: &Leader, room_id: &str) -> Result<&mut PendingHead, CommandError> {
        let room_id = <&RoomId>::try_from(room_id).map_err(|_| CommandError::Malformed("room_id"))?;
        let head = self.find_head(leader, room_id).await?;
        // That of a deleted room has no events.
        head.filter(|head| !head.tips.is_empty()).ok_or_else(outsider)
    }

    /// The room's head, if the room has a history here.
    pub(super) async fn find_head(
        &mut self,
        leader: &Leader,
        room_id: &RoomId,
    ) -> Result<Option<&mut PendingHead>, CommandError> {
        if self.head.is_none() {
            self.head = PendingHead::load(leader, room_id).await?;
        }
        Ok(self.head.as_mut())
    }

    /// Moves the lane to a head that a decision has led to.
    pub(super) fn set_head(&mut self, head: PendingHead) {
        self.head = Some(head);
    }

    /// Adds to a turn's change set where the head has come to. Once for the turn, however many events it has.
    pub(crate) fn store_head(&mut self, change: &mut ChangeSet) {
        if let Some(head) = &mut self.head {
            head.store(change);
        }
    }

    /// Everything pending is in the store now.
    pub(crate) fn committed(&mut self) {
        self.alias = None;
        if let Some(head) = &mut self.head {
            head.trim();
        }
        self.account_data.trim();
    }
}

/// An event of the room as deciding needs it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) nid: EventNid,
    pub(crate) status: EventStatus,
    /// The state after it, on its own branch.
    pub(crate) state_after: NodeId,
    /// For a state event, the events that allow it.
    pub(crate) auth_parents: Option<Arc<[EventNid]>>,
    pub(crate) body: Arc<EventBody>,
}

impl Known {
    /// Whether it is known what comes before it, and with that the state there. A rejected outlier is as much without a place as any other.
    pub(crate) fn has_place(&self) -> bool {
        self.status != EventStatus::Outlier && self.state_after != NodeId::EMPTY
    }
}

impl From<&StoredEvent> for Known {
    fn from(event: &StoredEvent) -> Self {
        Self {
            nid: event.nid,
            status: event.status,
            state_after: event.state_after,
            auth_parents: event.auth_parents.clone(),
            body: Arc::clone(&event.body),
        }
    }
}

/// Where a room's history ends, counting what is decided but not yet committed.
#[derive(Clone, Debug)]
pub(crate) struct PendingHead {
    pub(crate) info: Arc<RoomInfo>,
    /// The ends of the room's branches: events that no event follows.
    pub(super) tips: Vec<Known>,
    pub(super) room_order: i64,
    /// How many events notify everybody by the rules all users begin with.
    pub(super) notifying: i64,
    /// The event that made the room, the same in all of its states.
    pub(crate) create: Option<Known>,
    /// The state that all branches come to together.
    pub(super) root: NodeId,
    /// The event whose state before it is not all here.
    pub(super) partial: Option<EventNid>,
    next_node: NodeId,
    joined: i64,
    invited: i64,
    /// Whether the stored head is behind this one.
    moved: bool,
    nodes: HashMap<NodeId, Arc<Node>>,
    /// State events, and events that are decided and not yet committed.
    events: HashMap<EventNid, Known>,
    /// The JSON of `events`.
    event_bytes: usize,
    /// The numbers of events that are decided and not yet committed.
    uncommitted: HashMap<OwnedEventId, EventNid>,
    /// What sets of states have come to.
    resolved: HashMap<Vec<NodeId>, NodeId>,
    /// How far each reader has come, in room order.
    receipts: HashMap<Reader, i64>,
    /// Annotations that are decided and not yet committed.
    annotations: HashSet<Hash>,
    gaps: Gaps,
}

/// Whose receipt, of which kind, in which thread.
pub(super) type Reader = (UserNid, ReceiptKind, Option<String>);

impl PendingHead {
    /// The head of a room that has no event yet.
    pub(super) fn empty(info: Arc<RoomInfo>) -> Self {
        Self {
            info,
            tips: Vec::new(),
            create: None,
            room_order: 0,
            notifying: 0,
            root: NodeId(0),
            partial: None,
            next_node: NodeId(1),
            joined: 0,
            invited: 0,
            moved: false,
            nodes: HashMap::new(),
            events: HashMap::new(),
            event_bytes: 0,
            uncommitted: HashMap::new(),
            resolved: HashMap::new(),
            receipts: HashMap::new(),
            annotations: HashSet::new(),
            gaps: Gaps::default(),
        }
    }

    async fn load(leader: &Leader, room_id: &RoomId) -> Result<Option<Self>, CommandError> {
        let Some(info) = leader.store.room(room_id).await? else {
            return Ok(None);
        };
        let Some(stored) = room_heads::load(leader.store.db(), info.nid).await? else {
            return Ok(None);
        };
        let partial = partial_rooms::load(leader.store.db(), info.nid).await?;
        let mut head = Self {
            partial: partial.map(|partial| partial.event),
            room_order: stored.room_order,
            root: stored.room_root,
            next_node: stored.next_node,
            joined: stored.joined,
            invited: stored.invited,
            ..Self::empty(info)
        };
        for event in leader.store.events(&stored.extremities).await? {
            head.notifying = head.notifying.max(event.notifying);
            head.tips.push(Known::from(&*event));
        }
        let create = leader
            .store
            .state_event(head.info.nid, head.root, "m.room.create", "")
            .await?;
        head.create = create.map(|create| Known::from(&*create));
        Ok(Some(head))
    }

    /// Tells why something is refused only to those who have had to do with the room; to others it is as if there were none.
    pub(super) async fn conceal(
        &mut self,
        leader: &Leader,
        sender: &str,
        decided: Result<Decision, CommandError>,
    ) -> Result<Decision, CommandError> {
        // That a room lets no guests in is said only of rooms that let everybody else in.
        let is_secret = |refusal: &MatrixError| refusal.errcode != NO_GUESTS;
        let is_refused = matches!(&decided, Err(CommandError::Refused(refusal)) if is_secret(refusal));
        if is_refused && self.state_event(leader, "m.room.member", sender).await?.is_none() {
            return Err(outsider());
        }
        decided
    }

    /// Ends the room: from here on it is as if there were none. A head stays, so that no number of a node, and no place in the timeline, is given twice.
    pub(super) fn retire(&mut self) {
        *self = Self {
            room_order: self.room_order,
            next_node: self.next_node,
            moved: true,
            ..Self::empty(Arc::clone(&self.info))
        };
    }

    /// The first number that no node of the room's states has, counting what is decided but not yet committed.
    pub(super) fn next_node(&self) -> NodeId {
        self.next_node
    }

    /// A state of the room, as far as it is here.
    pub(super) fn known_state(&self, root: NodeId) -> RoomState {
        match self.partial {
            None => RoomState::Full(root),
            Some(_) => RoomState::Partial(root),
        }
    }

    /// What follows from the events is to be worked out anew: nothing that is remembered of their states holds.
    pub(super) fn forget_states(&mut self) {
        self.events.clear();
        self.event_bytes = 0;
        self.resolved.clear();
    }

    /// What sets of states have come to may be a state that nobody refers to.
    pub(super) fn forget_resolved(&mut self) {
        self.resolved.clear();
    }

    /// Counts a change of somebody's membership.
    pub(super) fn count(&mut self, was: Option<Membership>, is: Membership) {
        let counts = |membership| {
            (
                i64::from(membership == Membership::Join),
                i64::from(membership == Membership::Invite),
            )
        };
        let (left, declined) = was.map_or((0, 0), counts);
        let (joined, invited) = counts(is);
        self.joined += joined - left;
        self.invited += invited - declined;
    }

    /// Writes the head if it has moved.
    pub(super) fn store(&mut self, change: &mut ChangeSet) {
        if std::mem::take(&mut self.moved) {
            change.statements.push(room_heads::upsert(
                self.info.nid,
                &RoomHead {
                    extremities: self.tips.iter().map(|tip| tip.nid).collect(),
                    room_order: self.room_order,
                    depth: self.tips.iter().map(|tip| tip.body.depth()).max().unwrap_or_default(),
                    room_root: self.root,
                    next_node: self.next_node,
                    joined: self.joined,
                    invited: self.invited,
                },
            ));
        }
    }

    /// The room id an event of this type carries: a create event of version 12 has none, it makes it.
    pub(super) fn room_id_for(&self, kind: &str) -> Option<&RoomId> {
        let unnamed = self.info.version.rules().room_id == RoomIdFormat::CreateEventHash && kind == "m.room.create";
        (!unnamed).then_some(&*self.info.id)
    }

    /// How far a reader has come, as far as this lane remembers.
    pub(super) fn receipt(&self, reader: &Reader) -> Option<i64> {
        self.receipts.get(reader).copied()
    }

    /// Remembers how far a reader has come.
    pub(super) fn move_receipt(&mut self, reader: Reader, room_order: i64) {
        self.receipts.insert(reader, room_order);
    }

    /// Whether the same annotation waits for its commit.
    pub(super) fn has_annotation(&self, annotation: &Hash) -> bool {
        self.annotations.contains(annotation)
    }

    /// Remembers an annotation until it is committed.
    pub(super) fn add_annotation(&mut self, annotation: Hash) {
        self.annotations.insert(annotation);
    }

    /// Keeps an event in memory.
    fn keep_event(&mut self, event: Known) {
        self.forget_event(event.nid);
        self.event_bytes += event.body.json().len();
        self.events.insert(event.nid, event);
    }

    fn forget_event(&mut self, nid: EventNid) {
        if let Some(event) = self.events.remove(&nid) {
            self.event_bytes -= event.body.json().len();
        }
    }

    fn trim(&mut self) {
        self.annotations.clear();
        self.trim_gaps();
        let mut committed = std::mem::take(&mut self.uncommitted);
        for (_, nid) in committed.drain() {
            if self
                .events
                .get(&nid)
                .is_some_and(|event| event.body.state_key().is_none())
            {
                self.forget_event(nid);
            }
        }
        self.uncommitted = committed;
        if self.receipts.len() > OVERLAY_MAX {
            self.receipts.clear();
        }
        if self.nodes.len() > OVERLAY_MAX {
            self.nodes.clear();
        }
        if self.events.len() > OVERLAY_MAX || self.event_bytes > EVENT_BYTES_MAX {
            self.events.clear();
            self.event_bytes = 0;
        }
        if self.resolved.len() > RESOLVED_MAX {
            self.resolved.clear();
        }
    }
}

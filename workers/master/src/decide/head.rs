//! A room's pending head: where its next event goes, ahead of the store.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use plexus_core::{
    event::{EventBody, hash::Hash},
    ids::{EventNid, NodeId, StateKeyNid, UserNid},
    room_version::RoomIdFormat,
    row::{Membership, ReceiptKind},
    state::{self, Inserted, Node},
};
use plexus_proto::MatrixError;
use plexus_storage::{
    room_heads::{self, RoomHead},
    rooms::RoomInfo,
};
use ruma::RoomId;

use super::Decision;
use crate::{
    change_set::ChangeSet,
    error::{CommandError, NO_GUESTS, outsider},
    leader::Leader,
};

/// State nodes, events and receipts a head keeps in memory once they are committed.
const OVERLAY_MAX: usize = 4096;

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
        if self.head.is_none() {
            let room_id = <&RoomId>::try_from(room_id).map_err(|_| CommandError::Malformed("room_id"))?;
            self.head = Some(PendingHead::load(leader, room_id).await?);
        }
        let head = self.head.as_mut().expect("it was loaded above");
        // A deleted room keeps a head, so that no number of a node, and no place in its timeline, is given twice.
        if head.tips.is_empty() {
            return Err(outsider());
        }
        Ok(head)
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

/// An event nothing follows yet.
#[derive(Clone, Debug)]
pub(super) struct Tip {
    pub(super) nid: EventNid,
    pub(super) body: Arc<EventBody>,
}

/// Where a room's history ends, counting what is decided but not yet committed.
#[derive(Clone, Debug)]
pub(super) struct PendingHead {
    pub(super) info: Arc<RoomInfo>,
    pub(super) tips: Vec<Tip>,
    pub(super) depth: i64,
    pub(super) room_order: i64,
    /// How many events notify everybody by the rules all users begin with.
    pub(super) notifying: i64,
    pub(super) root: NodeId,
    pub(super) next_node: NodeId,
    joined: i64,
    invited: i64,
    /// Whether the stored head is behind this one.
    moved: bool,
    nodes: HashMap<NodeId, Arc<Node>>,
    events: HashMap<EventNid, Arc<EventBody>>,
    /// How far each reader has come, in room order.
    receipts: HashMap<Reader, i64>,
    /// Annotations that are decided and not yet committed.
    annotations: HashSet<Hash>,
}

/// Whose receipt, of which kind, in which thread.
pub(super) type Reader = (UserNid, ReceiptKind, Option<String>);

impl PendingHead {
    /// The head of a room that has no event yet.
    pub(super) fn empty(info: Arc<RoomInfo>) -> Self {
        Self {
            info,
            tips: Vec::new(),
            depth: 0,
            room_order: 0,
            notifying: 0,
            root: NodeId(0),
            next_node: NodeId(1),
            joined: 0,
            invited: 0,
            moved: false,
            nodes: HashMap::new(),
            events: HashMap::new(),
            receipts: HashMap::new(),
            annotations: HashSet::new(),
        }
    }

    async fn load(leader: &Leader, room_id: &RoomId) -> Result<Self, CommandError> {
        let info = leader.store.room(room_id).await?.ok_or_else(outsider)?;
        let stored = room_heads::load(leader.store.db(), info.nid)
            .await?
            .ok_or_else(outsider)?;
        let mut head = Self {
            depth: stored.depth,
            room_order: stored.room_order,
            root: stored.room_root,
            next_node: stored.next_node,
            joined: stored.joined,
            invited: stored.invited,
            ..Self::empty(info)
        };
        for event in leader.store.events(&stored.extremities).await? {
            head.notifying = head.notifying.max(event.notifying);
            head.tips.push(Tip {
                nid: event.nid,
                body: Arc::clone(&event.body),
            });
        }
        Ok(head)
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

    /// The event that holds a piece of the room's state.
    pub(super) async fn state_event(
        &mut self,
        leader: &Leader,
        kind: &str,
        key: &str,
    ) -> Result<Option<Arc<EventBody>>, CommandError> {
        let entry = self.state_entry(leader, kind, key).await?;
        Ok(entry.map(|(_, event)| event))
    }

    /// The event that holds a piece of the room's state, and its number.
    pub(super) async fn state_entry(
        &mut self,
        leader: &Leader,
        kind: &str,
        key: &str,
    ) -> Result<Option<(EventNid, Arc<EventBody>)>, CommandError> {
        let Some(key) = leader.interner.find_state_key(kind, key).await? else {
            return Ok(None);
        };
        let Some(nid) = self.state_nid(leader, key).await? else {
            return Ok(None);
        };
        Ok(Some((nid, self.event(leader, nid).await?)))
    }

    async fn state_nid(&self, leader: &Leader, key: StateKeyNid) -> Result<Option<EventNid>, CommandError> {
        let found = leader
            .store
            .with_nodes(self.info.nid, |nodes| {
                state::get(self.root, key, &|id| self.nodes.get(&id).cloned().or_else(|| nodes(id)))
            })
            .await?;
        Ok(found)
    }

    /// The state with one more entry. The head itself does not move.
    pub(super) async fn insert_state(
        &self,
        leader: &Leader,
        key: StateKeyNid,
        event: EventNid,
    ) -> Result<(Inserted, NodeId), CommandError> {
        let inserted = leader
            .store
            .with_nodes(self.info.nid, |nodes| {
                let mut next = self.next_node;
                let nodes = |id| self.nodes.get(&id).cloned().or_else(|| nodes(id));
                state::insert(self.root, &[(key, event)], &nodes, &mut next).map(|inserted| (inserted, next))
            })
            .await?;
        Ok(inserted)
    }

    async fn event(&mut self, leader: &Leader, nid: EventNid) -> Result<Arc<EventBody>, CommandError> {
        if let Some(body) = self.events.get(&nid) {
            return Ok(Arc::clone(body));
        }
        let event = leader
            .store
            .event(nid)
            .await?
            .ok_or(CommandError::Damaged("the state names an event that is not stored"))?;
        self.events.insert(nid, Arc::clone(&event.body));
        Ok(Arc::clone(&event.body))
    }

    /// Moves past a new event.
    pub(super) fn advance(&mut self, nid: EventNid, body: &Arc<EventBody>, state: Option<(Inserted, NodeId)>) {
        self.tips.clear();
        self.tips.push(Tip {
            nid,
            body: Arc::clone(body),
        });
        self.moved = true;
        self.depth = body.depth();
        self.room_order += 1;
        if let Some((inserted, next_node)) = state {
            self.root = inserted.root;
            self.next_node = next_node;
            self.nodes.extend(inserted.new_nodes);
            self.events.insert(nid, Arc::clone(body));
        }
    }

    /// Ends the room: from here on it is as if there were none.
    pub(super) fn retire(&mut self) {
        *self = Self {
            room_order: self.room_order,
            next_node: self.next_node,
            moved: true,
            ..Self::empty(Arc::clone(&self.info))
        };
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
                    depth: self.depth,
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

    fn trim(&mut self) {
        self.annotations.clear();
        if self.receipts.len() > OVERLAY_MAX {
            self.receipts.clear();
        }
        if self.nodes.len() > OVERLAY_MAX {
            self.nodes.clear();
        }
        if self.events.len() > OVERLAY_MAX {
            self.events.clear();
        }
    }
}

//! Writing what is right: nodes first, then the events that name them, then where the room stands. Whoever is interrupted begins again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use plexus_core::{
    ids::{EventNid, NodeId, RoomNid},
    position::{Epoch, Sequence, WriterId},
    row::{Frame, Row, StateRow},
    state::Node,
};
use plexus_replication::frames;
use plexus_storage::{
    db::{Database, DbError, Statement, Value, Writer, now_ms},
    events, leases,
    log::{self, StoredFrame},
    memberships, room_heads, state_nodes,
};

use super::{Right, VerifyError, walk::Fix};

/// How long the lease lasts from one commit to the next.
const LEASE_MS: i64 = 60_000;

/// Rows of one commit.
const ROWS_MAX: usize = 500;

/// The right to write ordered data.
pub(super) struct Lease {
    db: Database,
    writer: Writer,
    holder: String,
    epoch: Epoch,
    head: Sequence,
}

impl Lease {
    /// Takes the lease, if no master has it.
    pub(super) async fn take(db: &Database) -> Result<Self, VerifyError> {
        let holder = format!("room verify {:x}", rand::random::<u64>());
        let epoch = leases::acquire(db, WriterId::MASTER, &holder, LEASE_MS).await?;
        let epoch = epoch.ok_or(VerifyError::MasterRuns)?;
        if !log::take_over(db, WriterId::MASTER, epoch).await? {
            return Err(VerifyError::MasterRuns);
        }
        let head = log::head(db, WriterId::MASTER).await?;
        Ok(Self {
            db: db.clone(),
            writer: db.writer().await?,
            holder,
            epoch,
            head: head.map_or(0, |head| head.position),
        })
    }

    /// Gives the lease back.
    pub(super) async fn release(self) -> Result<(), VerifyError> {
        leases::release(&self.db, WriterId::MASTER, &self.holder, self.epoch).await?;
        Ok(())
    }

    /// Writes what is right; how many rows that were.
    pub(super) async fn write(&mut self, right: Right) -> Result<usize, VerifyError> {
        let Right { room, walk, mut ends } = right;
        let mut roots: Vec<NodeId> = vec![ends.head.room_root];
        for fix in &walk.fixes {
            roots.extend([fix.state_before, fix.state_after, fix.room_root]);
        }
        let nodes = reachable(&walk.made, roots);
        let mut written = nodes.len() + walk.fixes.len() + ends.members.len();
        if written == 0 && !ends.moves_head {
            return Ok(0);
        }
        written += usize::from(ends.moves_head);
        ends.head.next_node = ends.head.next_node.max(walk.next);
        // First of all, so that no number of a node is given twice whatever happens.
        let reserve = room_heads::reserve_nodes(room, ends.head.next_node);
        self.commit(vec![reserve], vec![Row::Room { room }]).await?;
        for nodes in nodes.chunks(ROWS_MAX) {
            let inserts = nodes.iter().map(|(id, node)| state_nodes::insert(room, *id, node));
            self.commit(inserts.collect(), vec![Row::Room { room }]).await?;
        }
        for fixes in walk.fixes.chunks(ROWS_MAX) {
            let fixed = fixes.iter().map(update).collect();
            self.commit(fixed, vec![purged(room, fixes.iter().map(|fix| fix.event), false)])
                .await?;
        }
        for members in ends.members.chunks(ROWS_MAX) {
            let inserts = members.iter().map(|(user, membership, event)| {
                memberships::insert(*user, room, Value::Int(self.head + 1), *membership, *event)
            });
            let row = StateRow {
                room,
                memberships: members.to_vec(),
            };
            self.commit(inserts.collect(), vec![Row::State(row)]).await?;
        }
        let head = room_heads::upsert(room, &ends.head);
        self.commit(vec![head], vec![purged(room, [], true)]).await?;
        Ok(written)
    }

    /// Appends rows to the log with what makes them true.
    async fn commit(&mut self, mut statements: Vec<Statement>, rows: Vec<Row>) -> Result<(), VerifyError> {
        leases::renew(&self.db, WriterId::MASTER, &self.holder, self.epoch, LEASE_MS).await?;
        let frame = Frame {
            writer: WriterId::MASTER,
            epoch: self.epoch,
            previous: self.head,
            position: self.head + Sequence::try_from(rows.len()).unwrap_or(Sequence::MAX),
            rows,
        };
        let stored = StoredFrame {
            previous: frame.previous,
            position: frame.position,
            epoch: frame.epoch,
            created_ms: now_ms(&self.db).await?,
            frame: frames::encode_stored(&frame),
        };
        statements.push(log::append(WriterId::MASTER, stored));
        statements.push(log::advance_head(
            WriterId::MASTER,
            self.epoch,
            frame.previous,
            frame.position,
        ));
        self.writer.commit(statements).await.map_err(DbError::from)?;
        self.head = frame.position;
        Ok(())
    }
}

fn update(fix: &Fix) -> Statement {
    let states = events::States {
        before: fix.state_before,
        after: fix.state_after,
        room_root: fix.room_root,
    };
    events::set_right(
        fix.event,
        fix.status,
        fix.room_order,
        states,
        fix.auth_parents.as_deref(),
    )
}

/// What is kept of the room, or of its events, does not hold any more.
fn purged(room: RoomNid, events: impl IntoIterator<Item = EventNid>, whole: bool) -> Row {
    Row::Purged {
        room,
        events: events.into_iter().collect(),
        whole,
    }
}

/// Those of the nodes made that these roots need, children first.
fn reachable(made: &HashMap<NodeId, Arc<Node>>, mut open: Vec<NodeId>) -> Vec<(NodeId, Arc<Node>)> {
    let (mut seen, mut nodes) = (HashSet::new(), Vec::new());
    while let Some(id) = open.pop() {
        let Some(node) = made.get(&id).filter(|_| seen.insert(id)) else {
            continue;
        };
        open.extend(node.children().iter().map(|child| child.node));
        nodes.push((id, Arc::clone(node)));
    }
    nodes.sort_unstable_by_key(|(id, _)| *id);
    nodes
}

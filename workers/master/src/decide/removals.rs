//! Purging histories and deleting rooms: begun here, done in steps.
//!
//! Each step is a Command in the room's lane, so it never races an event, and is committed with the task that asks for the next one: whoever dies at
//! whatever moment, the next leader goes on where it ended. A step changes a bounded number of rows. What is told of it is in the table `removals`.

mod history;
mod room;

use plexus_core::{ids::RoomNid, row::Row};
use plexus_proto::{BlockRoom, DeleteRoom, PurgeHistory, RemovalStep, command::Kind, removal_step::Stage};
use plexus_storage::{
    blocked_rooms, purge,
    removals::{self, Removal, RemovalKind, RemovalStatus},
    room_aliases, room_directory, room_heads, tasks,
};
use ruma::{EventId, RoomId};
use serde_json::{Map, Value, json};

use super::{
    Decision,
    event::user_id,
    head::{LaneState, PendingHead},
};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, bad_state, blocked, not_found},
    leader::Leader,
};

/// In a log row, a room that has no number here.
const NO_ROOM: RoomNid = RoomNid(0);

/// Begins to purge a room's history.
pub(super) async fn purge_history(
    leader: &Leader,
    head: &mut PendingHead,
    command: &PurgeHistory,
) -> Result<Decision, CommandError> {
    require_none_under_way(leader, &command.room_id).await?;
    let before_order = purge_point(leader, head, &command.event_id).await?;
    let mut change = ChangeSet::default();
    let removal = Removal {
        id: command.removal_id.clone(),
        room_id: command.room_id.clone(),
        kind: RemovalKind::Purge,
        status: RemovalStatus::Active,
        changed_ms: leader.clock.now_ms(),
        report: encode(&json!({"purged_events": 0})),
    };
    change.statements.push(removals::insert(&removal));
    let first = RemovalStep {
        room_id: command.room_id.clone(),
        removal_id: command.removal_id.clone(),
        stage: Stage::History.into(),
        before_order,
        delete_local_events: command.delete_local_events,
        ..RemovalStep::default()
    };
    ask(leader, first, &mut change);
    change.rows.push(Row::Room { room: head.info.nid });
    Ok(done(change))
}

/// The place in the timeline before which everything goes: that of the event, or of the oldest event that nothing follows yet.
async fn purge_point(leader: &Leader, head: &PendingHead, event_id: &str) -> Result<i64, CommandError> {
    let unknown = || not_found("There is no such event in this room");
    let event_id = EventId::parse(event_id).map_err(|_| unknown())?;
    let nid = leader.store.event_nid(head.info.nid, &event_id).await?;
    let event = leader
        .store
        .event(nid.ok_or_else(unknown)?)
        .await?
        .ok_or_else(unknown)?;
    let outside = || bad_state("The event is not in the room's timeline");
    let mut point = event.room_order.ok_or_else(outside)?;
    for tip in &head.tips {
        // One that is not stored yet is newer than all that are.
        let tip = leader.store.event(tip.nid).await?;
        point = tip.and_then(|tip| tip.room_order).unwrap_or(i64::MAX).min(point);
    }
    Ok(point)
}

/// Begins to delete a room, or only to empty it.
pub(super) async fn delete_room(leader: &Leader, command: &DeleteRoom) -> Result<Decision, CommandError> {
    let room_id = room_id(&command.room_id)?;
    require_none_under_way(leader, &command.room_id).await?;
    let mut change = ChangeSet::default();
    if command.block {
        let admin = leader.interner.user(user_id(&command.user_id)?).await?;
        let admin = admin.with(&mut change.statements);
        change.statements.push(blocked_rooms::upsert(room_id, admin));
    }
    let room = leader.store.room(room_id).await?.map(|room| room.nid);
    let mut aliases = Vec::new();
    let mut status = RemovalStatus::Active;
    match room {
        Some(room) => {
            aliases = leader.store.room_aliases(room).await?;
            begin_deletion(leader, command, room, &mut change).await?;
        }
        None if command.block => status = RemovalStatus::Complete,
        None => return Err(not_found("There is no such room on this server")),
    }
    let report = json!({
        "kicked_users": [],
        "failed_to_kick_users": [],
        "local_aliases": aliases,
        "new_room_id": command.new_room_id,
    });
    let removal = Removal {
        id: command.removal_id.clone(),
        room_id: command.room_id.clone(),
        kind: RemovalKind::Deletion,
        status,
        changed_ms: leader.clock.now_ms(),
        report: encode(&report),
    };
    change.statements.push(removals::insert(&removal));
    let room = room.unwrap_or(NO_ROOM);
    change.rows.push(Row::Room { room });
    Ok(done(change))
}

/// Takes the room out of where it is found, and asks for the first step.
async fn begin_deletion(
    leader: &Leader,
    command: &DeleteRoom,
    room: RoomNid,
    change: &mut ChangeSet,
) -> Result<(), CommandError> {
    match &command.new_room_id {
        Some(new) => {
            let new = leader.store.room(room_id(new)?).await?;
            let new = new.ok_or_else(|| not_found("There is no room to go to"))?;
            change.statements.push(room_aliases::move_all(room, new.nid));
            change.rows.push(Row::Room { room: new.nid });
        }
        None if command.purge => change.statements.push(purge::delete_aliases(room)),
        None => {}
    }
    let head = room_heads::load(leader.store.db(), room).await?;
    if head.is_some() {
        change.statements.push(room_directory::update(room, false));
    }
    // Of a room that was deleted before, or never had an event, there is nobody to leave.
    let is_there = head.is_some_and(|head| !head.extremities.is_empty());
    let first = RemovalStep {
        room_id: command.room_id.clone(),
        removal_id: command.removal_id.clone(),
        stage: if is_there { Stage::Leave } else { Stage::Events }.into(),
        purge: command.purge,
        force_purge: command.force_purge,
        new_room_id: command.new_room_id.clone(),
        ..RemovalStep::default()
    };
    ask(leader, first, change);
    Ok(())
}

/// Lets no local user into a room, or ends that. Doing it twice is doing it once.
pub(super) async fn block_room(leader: &Leader, command: &BlockRoom) -> Result<Decision, CommandError> {
    let room_id = room_id(&command.room_id)?;
    let mut change = ChangeSet::default();
    if command.block {
        let admin = leader.interner.user(user_id(&command.user_id)?).await?;
        let admin = admin.with(&mut change.statements);
        change.statements.push(blocked_rooms::upsert(room_id, admin));
    } else {
        change.statements.push(blocked_rooms::delete(room_id));
    }
    let room = leader.store.room(room_id).await?.map_or(NO_ROOM, |room| room.nid);
    change.rows.push(Row::Room { room });
    Ok(done(change))
}

/// Refuses a room that has no history here to have one: while it is being deleted, and while it is blocked.
pub(super) async fn require_open(leader: &Leader, room_id: &RoomId) -> Result<(), CommandError> {
    let db = leader.store.db();
    if blocked_rooms::blocked_by(db, room_id).await?.is_some() {
        return Err(blocked());
    }
    require_none_under_way(leader, room_id.as_str()).await
}

/// The next step of a removal. One that cannot be done ends the removal, and says why.
pub(super) async fn go_on(
    leader: &Leader,
    lane: &mut LaneState,
    command: &RemovalStep,
) -> Result<Decision, CommandError> {
    let removal = removals::get(leader.store.db(), &command.removal_id).await?;
    let Some(removal) = removal.filter(|removal| removal.status == RemovalStatus::Active) else {
        return Ok(Decision::default());
    };
    let room = leader.store.room(room_id(&command.room_id)?).await?;
    let room = room.ok_or(CommandError::Damaged("a removal of no room"))?;
    let mut under_way = UnderWay::new(leader, removal, room.nid)?;
    let stage = Stage::try_from(command.stage).map_err(|_| CommandError::Malformed("stage"))?;
    let decided = match stage {
        Stage::History => history::purge(&mut under_way, lane, command).await,
        Stage::Leave => room::leave(&mut under_way, lane, command).await,
        Stage::Events => room::delete_events(&mut under_way, command).await,
        Stage::Members => room::delete_members(&mut under_way, command).await,
        Stage::Rest => room::delete_rest(&mut under_way, command).await,
    };
    match decided {
        Ok(change) => Ok(done(change)),
        Err(error) if error.may_pass() => Err(error),
        Err(error) => {
            tracing::error!(%error, room.id = %room.id, "a removal cannot go on");
            Ok(done(under_way.fail(&error.to_string(), ChangeSet::default())))
        }
    }
}

/// A removal that is under way, in one of its steps.
struct UnderWay<'a> {
    leader: &'a Leader,
    room: RoomNid,
    removal: Removal,
    report: Map<String, Value>,
}

impl<'a> UnderWay<'a> {
    fn new(leader: &'a Leader, removal: Removal, room: RoomNid) -> Result<Self, CommandError> {
        let report = serde_json::from_slice(&removal.report);
        Ok(Self {
            leader,
            room,
            report: report.map_err(|_| CommandError::Damaged("the report of a removal"))?,
            removal,
        })
    }

    /// There is another step to do.
    fn ask(&mut self, next: RemovalStep, mut change: ChangeSet) -> ChangeSet {
        ask(self.leader, next, &mut change);
        self.end_step(RemovalStatus::Active, change)
    }

    /// That was the last step.
    fn complete(&mut self, change: ChangeSet) -> ChangeSet {
        self.end_step(RemovalStatus::Complete, change)
    }

    /// It ends here, though not all is done.
    fn fail(&mut self, why: &str, change: ChangeSet) -> ChangeSet {
        self.report.insert("error".to_owned(), why.into());
        self.end_step(RemovalStatus::Failed, change)
    }

    fn end_step(&mut self, status: RemovalStatus, mut change: ChangeSet) -> ChangeSet {
        self.removal.status = status;
        self.removal.changed_ms = self.leader.clock.now_ms();
        self.removal.report = Value::Object(std::mem::take(&mut self.report)).to_string().into();
        change.statements.push(removals::update(&self.removal));
        if change.rows.is_empty() {
            change.rows.push(Row::Room { room: self.room });
        }
        change
    }

    /// Adds to a number of the report.
    fn count(&mut self, name: &str, more: usize) {
        let count = self.report.entry(name).or_insert(Value::from(0));
        *count = Value::from(count.as_u64().unwrap_or_default() + more as u64);
    }

    /// Adds to a list of the report.
    fn list(&mut self, name: &str, more: &str) {
        if let Value::Array(list) = self.report.entry(name).or_insert(Value::Array(Vec::new())) {
            list.push(more.into());
        }
    }
}

/// Adds the next step to what is committed.
fn ask(leader: &Leader, step: RemovalStep, change: &mut ChangeSet) {
    let task = leader.new_task(Kind::RemovalStep(step));
    change.statements.push(tasks::insert(&task));
    change.asks_for_tasks = true;
}

async fn require_none_under_way(leader: &Leader, room_id: &str) -> Result<(), CommandError> {
    let removals = removals::of_room(leader.store.db(), room_id).await?;
    let is_under_way = |removal: &Removal| removal.status == RemovalStatus::Active;
    if removals.iter().any(is_under_way) {
        return Err(bad_state("A purge or deletion is under way in this room"));
    }
    Ok(())
}

fn room_id(text: &str) -> Result<&RoomId, CommandError> {
    text.try_into().map_err(|_| CommandError::Malformed("room_id"))
}

fn encode(report: &Value) -> bytes::Bytes {
    report.to_string().into()
}

fn done(change: ChangeSet) -> Decision {
    Decision {
        change,
        ..Decision::default()
    }
}

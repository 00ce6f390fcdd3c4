//! Rooms and events to put into a database, and the rows that tell of them.

use std::{future::Future, pin::Pin, sync::Arc};

use futures_util::{
    future::{MaybeDone, maybe_done},
    poll,
};
use plexus_core::{
    event::{EventBody, hash},
    ids::{EventNid, NodeId, RoomNid, StateKeyNid, UserNid},
    position::{Sequence, WriterId},
    room_version::{EventIdFormat, RoomVersion},
    row::{EventRow, EventStatus, Membership, Row},
};
use plexus_storage::{
    Store,
    db::{Statement, Value},
    events::{self, NewEventRow, StoredEvent},
    memberships, rooms,
    rooms::RoomInfo,
};
use plexus_testkit::{TestDatabase, databases};
use ruma::{EventId, OwnedEventId, RoomId};

/// A store on an empty database.
pub(crate) struct World {
    pub(crate) store: Store,
    // Gone when it is dropped.
    database: TestDatabase,
}

/// A store on each engine.
pub(crate) async fn worlds() -> [World; 2] {
    databases().await.map(|database| World {
        store: Store::new(database.db.clone()),
        database,
    })
}

impl World {
    /// Another process's store on the same database.
    pub(crate) fn other_process(&self) -> Store {
        Store::new(self.database.db.clone())
    }

    /// Writes, as the master would.
    pub(crate) async fn write(&self, statements: impl IntoIterator<Item = Statement>) {
        let statements = statements.into_iter().collect();
        let written = self.database.db.transaction(statements).await;
        written.unwrap_or_else(|error| panic!("{:?}: {error}", self.database.engine));
    }

    /// Whether a change set is refused, as a whole.
    pub(crate) async fn refuses(&self, statements: impl IntoIterator<Item = Statement>) -> bool {
        self.database
            .db
            .transaction(statements.into_iter().collect())
            .await
            .is_err()
    }

    /// A room in the database.
    pub(crate) async fn room(&self, nid: i64, version: RoomVersion) -> RoomInfo {
        let id = RoomId::parse(format!("!room{nid}:x")).expect("an id");
        let room = RoomInfo {
            nid: RoomNid(nid),
            id,
            version,
        };
        self.write([rooms::insert(&room)]).await;
        room
    }

    /// Persists an event and nothing else: this process has not heard of it.
    pub(crate) async fn persist(&self, event: &NewEventRow, position: Sequence) {
        self.write([events::insert(event, Value::Int(position))]).await;
    }

    /// Persists a member event, whose state key nobody needs.
    pub(crate) async fn persist_member(&self, room: &RoomInfo, user: i64, membership: Membership, position: Sequence) {
        let event = message(room, position);
        let row = memberships::insert(UserNid(user), room.nid, Value::Int(position), membership, event.nid);
        self.write([events::insert(&event, Value::Int(position)), row]).await;
    }

    /// The row of a persisted event arrives.
    pub(crate) fn hear(&self, event: &NewEventRow, position: Sequence) {
        self.apply(position, &Row::Event(event_row(event)));
    }

    /// The row of a persisted member event arrives.
    pub(crate) fn hear_member(&self, room: &RoomInfo, user: i64, membership: Membership, position: Sequence) {
        let row = event_row(&message(room, position));
        self.apply(
            position,
            &Row::Event(EventRow {
                membership: Some((UserNid(user), membership)),
                ..row
            }),
        );
    }

    /// A row arrives.
    pub(crate) fn apply(&self, position: Sequence, row: &Row) {
        // As replication has it: some rows have a chain of their own.
        let is_ephemeral = matches!(row, Row::Typing { .. } | Row::Presence(_));
        let writer = if is_ephemeral {
            WriterId(u16::MAX)
        } else {
            WriterId::MASTER
        };
        self.store.apply(writer, 1, position, row);
    }
}

/// A message with this number, which also is its place in the timeline and its text.
pub(crate) fn message(room: &RoomInfo, nid: i64) -> NewEventRow {
    event(room, nid, "m.room.message", None, &format!(r#"{{"body":"{nid}"}}"#))
}

/// A state event.
pub(crate) fn state_event(room: &RoomInfo, nid: i64, key: StateKeyNid, kind: &str, state_key: &str) -> NewEventRow {
    NewEventRow {
        state_key: Some(key),
        ..event(room, nid, kind, Some(state_key), r#"{"name":"x"}"#)
    }
}

/// A message that relates to the event numbered `parent`.
pub(crate) fn pointing(room: &RoomInfo, nid: i64, parent: i64, rel_type: &str) -> NewEventRow {
    let parent = event_id(room.version, parent);
    let content = format!(r#"{{"m.relates_to":{{"event_id":"{parent}","key":"+1","rel_type":"{rel_type}"}}}}"#);
    event(room, nid, "m.room.message", None, &content)
}

fn event(room: &RoomInfo, nid: i64, kind: &str, state_key: Option<&str>, content: &str) -> NewEventRow {
    let state_key = state_key.map_or_else(String::new, |key| format!(r#""state_key":"{key}","#));
    let json = format!(
        r#"{{"auth_events":[],"content":{content},"depth":{nid},"origin_server_ts":{nid},"prev_events":[],"room_id":"{}","sender":"@a:x",{state_key}"type":"{kind}"}}"#,
        room.id
    );
    let body = EventBody::load(event_id(room.version, nid), room.version.rules(), json.into_bytes());
    NewEventRow {
        nid: EventNid(nid),
        room: room.nid,
        version: room.version,
        sender: UserNid(1),
        room_order: Some(nid),
        state_key: None,
        state_before: NodeId(nid - 1),
        room_root: NodeId(nid),
        status: EventStatus::Accepted,
        state_after: NodeId(nid),
        auth_parents: None,
        rejected_for: None,
        outgoing: false,
        notifying: nid,
        transaction: None,
        body: Arc::new(body.expect("an event")),
    }
}

/// The id of event number `nid`.
pub(crate) fn event_id(version: RoomVersion, nid: i64) -> OwnedEventId {
    let hash = hash::sha256(&nid.to_be_bytes());
    let id = match version.rules().event_id {
        EventIdFormat::Assigned => format!("${nid}:x"),
        EventIdFormat::Hash => format!("${}", hash::encode_base64(&hash)),
        EventIdFormat::UrlSafeHash => format!("${}", hash::encode_url_safe_base64(&hash)),
    };
    EventId::parse(id).expect("an id")
}

/// The row that is published when an event is persisted.
pub(crate) fn event_row(event: &NewEventRow) -> EventRow {
    event.log_row(None).expect("a live event")
}

/// Where events stand in the log.
pub(crate) fn positions(events: &[Arc<StoredEvent>]) -> Vec<Sequence> {
    events.iter().map(|event| event.position).collect()
}

/// A read that is under way, or by chance already over.
pub(crate) type Begun<F> = Pin<Box<MaybeDone<F>>>;

/// Begins a read.
pub(crate) async fn begin<F: Future>(read: F) -> Begun<F> {
    let mut begun = Box::pin(maybe_done(read));
    let _over = poll!(&mut begun).is_ready();
    begun
}

/// What the read gave.
pub(crate) async fn finish<F: Future>(mut begun: Begun<F>) -> F::Output {
    begun.as_mut().await;
    begun.as_mut().take_output().expect("taken once")
}

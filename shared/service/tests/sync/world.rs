//! A server without the endpoints: a real store on SQLite, a real replica, and a writer that appends to the log what a test says, unquestioned.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use plexus_core::{
    event::{NewEvent, SigningKey},
    ids::{EventNid, NodeId, RoomNid, StateKeyNid, UserNid},
    position::{Position, Sequence, WriterId},
    room_version::RoomVersion,
    row::{EventRow, Frame, Membership, ReceiptKind, ReceiptRow, Row, Transaction},
    state::{self, Node},
};
use plexus_proto::{self as proto, master_server::Master};
use plexus_replication::{Bus, EPHEMERAL, MasterTarget, Replica, ReplicaParts, Tasks};
use plexus_service::{
    Clock, Ctx, Registration, Requester, ServiceConfig, ServiceError,
    sync::{SyncRequest, sync},
    users::{admin_register::Nonces, passwords::Passwords},
};
use plexus_storage::{
    Store,
    db::{Statement, Value},
    events::{self, NewEventRow},
    log, memberships, receipts,
    rooms::{self, RoomInfo},
    state_keys, state_nodes, users,
};
use plexus_testkit::TestDatabase;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, owned_server_name};
use serde_json::{Value as Json, value::to_raw_value};
use tokio::{runtime::Handle, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status};

pub(crate) const GENERATION: &str = "g1";
pub(crate) const NOW_MS: i64 = 1_700_000_000_000;
const VERSION: RoomVersion = RoomVersion::V10;
const EPOCH: i64 = 1;

pub(crate) struct World {
    pub(crate) ctx: Ctx,
    key: SigningKey,
    head: Arc<Mutex<Sequence>>,
    ephemeral: Sequence,
    ephemeral_epoch: i64,
    next_nid: i64,
    keys: HashMap<(String, String), StateKeyNid>,
    rooms: HashMap<RoomNid, Room>,
    _db: TestDatabase,
    _master: watch::Sender<MasterTarget>,
}

struct Room {
    id: OwnedRoomId,
    root: NodeId,
    next_node: NodeId,
    nodes: HashMap<NodeId, Arc<Node>>,
    order: i64,
    prev: Vec<OwnedEventId>,
}

/// What a test says of an event.
pub(crate) struct Say<'a> {
    pub(crate) kind: &'a str,
    pub(crate) state_key: Option<&'a str>,
    pub(crate) content: Json,
    pub(crate) transaction: Option<(&'a str, &'a str)>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = plexus_testkit::sqlite_database().await;
        let head = Arc::new(Mutex::new(0));
        assert!(
            log::take_over(&database.db, WriterId::MASTER, EPOCH)
                .await
                .expect("the database answers")
        );
        let store = Store::new(database.db.clone());
        let tasks = Tasks::new(TaskTracker::new(), CancellationToken::new(), Handle::current());
        let (sender, master) = watch::channel(MasterTarget::here(HeadOnly(Arc::clone(&head))));
        let parts = ReplicaParts {
            store: store.clone(),
            bus: Bus::Local,
            master,
            secret: None,
            tasks,
        };
        let replica = Replica::start(parts).await.expect("the log can be read");
        let config = ServiceConfig {
            server_name: owned_server_name!("localhost"),
            default_room_version: VERSION,
            registration: Registration::default(),
            generation: GENERATION.to_owned(),
        };
        let ctx = Ctx {
            store,
            replica,
            config: Arc::new(config),
            clock: Clock::new(|| NOW_MS),
            passwords: Passwords::new(Handle::current()),
            nonces: Nonces::default(),
            sent_members: plexus_service::sync::SentMembers::default(),
        };
        Self {
            ctx,
            key: SigningKey::from_seed("1", &[7; 32]).expect("32 bytes make a key"),
            head,
            ephemeral: 0,
            ephemeral_epoch: 1,
            next_nid: 100,
            keys: HashMap::new(),
            rooms: HashMap::new(),
            _db: database,
            _master: sender,
        }
    }

    pub(crate) fn nid(&mut self) -> i64 {
        self.next_nid += 1;
        self.next_nid
    }

    pub(crate) fn position(&self) -> Position {
        Position::at(WriterId::MASTER, *self.head.lock().expect("not poisoned"))
    }

    pub(crate) async fn user(&mut self, name: &str) -> Requester {
        let user = UserNid(self.nid());
        let user_id: OwnedUserId = format!("@{name}:localhost").try_into().expect("a valid name");
        self.commit(Vec::new(), vec![users::insert(user, &user_id)]).await;
        Requester {
            user,
            user_id,
            device_id: "PHONE".into(),
            admin: false,
        }
    }

    /// A room as a client makes one.
    pub(crate) async fn room(&mut self, creator: &Requester) -> RoomNid {
        let room = RoomNid(self.nid());
        let id: OwnedRoomId = format!("!room{}:localhost", room.0).try_into().expect("a valid id");
        let info = RoomInfo {
            nid: room,
            id: id.clone(),
            version: VERSION,
        };
        self.commit(Vec::new(), vec![rooms::insert(&info)]).await;
        let nodes = HashMap::new();
        self.rooms.insert(
            room,
            Room {
                id,
                root: NodeId::EMPTY,
                next_node: NodeId(1),
                nodes,
                order: 0,
                prev: Vec::new(),
            },
        );
        self.set(
            room,
            creator,
            "m.room.create",
            "",
            serde_json::json!({"room_version": "10"}),
        )
        .await;
        self.join(room, creator).await;
        self.set(
            room,
            creator,
            "m.room.join_rules",
            "",
            serde_json::json!({"join_rule": "public"}),
        )
        .await;
        room
    }

    pub(crate) fn room_id(&self, room: RoomNid) -> &str {
        self.rooms[&room].id.as_str()
    }

    pub(crate) async fn join(&mut self, room: RoomNid, user: &Requester) -> EventNid {
        self.member(
            room,
            user,
            user,
            Membership::Join,
            serde_json::json!({"displayname": user.user_id.localpart()}),
        )
        .await
    }

    pub(crate) async fn member(
        &mut self,
        room: RoomNid,
        sender: &Requester,
        target: &Requester,
        membership: Membership,
        mut content: Json,
    ) -> EventNid {
        content["membership"] = membership.as_str().into();
        let say = Say {
            kind: "m.room.member",
            state_key: Some(target.user_id.as_str()),
            content,
            transaction: None,
        };
        self.say(room, sender, say, Some((target.user, membership))).await
    }

    pub(crate) async fn set(
        &mut self,
        room: RoomNid,
        sender: &Requester,
        kind: &str,
        key: &str,
        content: Json,
    ) -> EventNid {
        self.say(
            room,
            sender,
            Say {
                kind,
                state_key: Some(key),
                content,
                transaction: None,
            },
            None,
        )
        .await
    }

    pub(crate) async fn message(&mut self, room: RoomNid, sender: &Requester, body: &str) -> EventNid {
        let content = serde_json::json!({"body": body, "msgtype": "m.text"});
        self.say(
            room,
            sender,
            Say {
                kind: "m.room.message",
                state_key: None,
                content,
                transaction: None,
            },
            None,
        )
        .await
    }

    pub(crate) async fn say(
        &mut self,
        room: RoomNid,
        sender: &Requester,
        say: Say<'_>,
        membership: Option<(UserNid, Membership)>,
    ) -> EventNid {
        let nid = EventNid(self.nid());
        let mut statements = Vec::new();
        let key = say.state_key.map(|key| self.key(say.kind, key, &mut statements));
        let here = self.rooms.get_mut(&room).expect("a room of this test");
        let new = NewEvent {
            room_id: Some(&here.id),
            sender: &sender.user_id,
            kind: say.kind,
            state_key: say.state_key,
            content: &to_raw_value(&say.content).expect("JSON"),
            prev_events: &here.prev,
            auth_events: &[],
            depth: here.order + 1,
            origin_server_ts: NOW_MS.unsigned_abs() - 5,
            redacts: None,
            legacy: None,
        };
        let body = new
            .seal(VERSION.rules(), &self.key, &self.ctx.config.server_name)
            .expect("a valid event");
        let body = Arc::new(body);
        here.prev = vec![body.event_id().to_owned()];
        here.order += 1;
        let (state_before, order) = (here.root, here.order);
        if let Some(key) = key {
            let nodes = |id| here.nodes.get(&id).cloned();
            let made =
                state::insert(here.root, &[(key, nid)], &nodes, &mut here.next_node).expect("all nodes are here");
            here.root = made.root;
            statements.extend(
                made.new_nodes
                    .iter()
                    .map(|(id, node)| state_nodes::insert(room, *id, node)),
            );
            here.nodes.extend(made.new_nodes);
        }
        let room_root = here.root;
        let transaction = say.transaction.map(|(device, id)| {
            Arc::new(Transaction {
                device: device.into(),
                id: id.to_owned(),
            })
        });
        let position = *self.head.lock().expect("not poisoned") + 1;
        let row = NewEventRow {
            nid,
            room,
            version: VERSION,
            sender: sender.user,
            room_order: Some(order),
            state_key: key,
            state_before,
            room_root,
            transaction: transaction.clone(),
            body: Arc::clone(&body),
        };
        statements.push(events::insert(&row, Value::Int(position)));
        if let Some((user, membership)) = membership {
            statements.push(memberships::insert(user, room, Value::Int(position), membership, nid));
        }
        let row = EventRow {
            event: nid,
            room,
            sender: sender.user,
            room_order: order,
            state_key: key,
            state_before,
            room_root,
            membership,
            transaction,
            body: Some(body),
        };
        self.commit(vec![Row::Event(row)], statements).await;
        nid
    }

    /// Takes the content of an event, as `sender` asks.
    pub(crate) async fn redact(&mut self, room: RoomNid, sender: &Requester, event: EventNid) -> EventNid {
        let target = self
            .ctx
            .store
            .event(event)
            .await
            .expect("the database answers")
            .expect("it is there");
        let content = serde_json::json!({"redacts": target.body.event_id()});
        let say = Say {
            kind: "m.room.redaction",
            state_key: None,
            content,
            transaction: None,
        };
        let redacted_by = self.say(room, sender, say, None).await;
        let redacted = target.body.redacted(VERSION.rules());
        let statement = events::redact(event, redacted_by, &redacted);
        self.commit(
            vec![Row::Redaction {
                room,
                event,
                redacted_by,
            }],
            vec![statement],
        )
        .await;
        redacted_by
    }

    pub(crate) async fn receipt(
        &mut self,
        room: RoomNid,
        user: &Requester,
        kind: ReceiptKind,
        thread: Option<&str>,
        event: EventNid,
    ) {
        let event = self
            .ctx
            .store
            .event(event)
            .await
            .expect("the database answers")
            .expect("it is there");
        let receipt = ReceiptRow {
            room,
            user: user.user,
            kind,
            thread: thread.map(str::to_owned),
            event_id: event.body.event_id().to_owned(),
            ts_ms: NOW_MS,
        };
        let position = *self.head.lock().expect("not poisoned") + 1;
        let statement = receipts::upsert(&receipt, Value::Int(position));
        self.commit(vec![Row::Receipt(receipt)], vec![statement]).await;
    }

    pub(crate) fn typing(&mut self, room: RoomNid, users: &[&Requester]) {
        let users = users.iter().map(|user| user.user).collect();
        let previous = self.ephemeral;
        self.ephemeral += 1;
        let frame = Frame {
            writer: EPHEMERAL,
            epoch: self.ephemeral_epoch,
            previous,
            position: self.ephemeral,
            rows: vec![Row::Typing { room, users }],
        };
        self.ctx.replica.receive(&Arc::new(frame));
    }

    /// Another master leads: who is typing is not known any more.
    pub(crate) fn fail_over(&mut self) {
        self.ephemeral_epoch += 1;
        self.ephemeral = 0;
    }

    fn key(&mut self, kind: &str, state_key: &str, statements: &mut Vec<Statement>) -> StateKeyNid {
        let pair = (kind.to_owned(), state_key.to_owned());
        if let Some(key) = self.keys.get(&pair) {
            return *key;
        }
        let key = StateKeyNid(self.nid());
        statements.push(state_keys::insert(key, kind, state_key));
        self.keys.insert(pair, key);
        key
    }

    /// Commits, and publishes to this process.
    async fn commit(&mut self, rows: Vec<Row>, statements: Vec<Statement>) {
        self.ctx
            .store
            .db()
            .transaction(statements)
            .await
            .expect("a valid change");
        if rows.is_empty() {
            return;
        }
        let previous = *self.head.lock().expect("not poisoned");
        let position = previous + Sequence::try_from(rows.len()).expect("a few");
        *self.head.lock().expect("not poisoned") = position;
        let frame = Frame {
            writer: WriterId::MASTER,
            epoch: EPOCH,
            previous,
            position,
            rows,
        };
        self.ctx.replica.receive(&Arc::new(frame));
    }

    pub(crate) async fn sync(&self, user: &Requester, request: SyncRequest) -> Json {
        self.try_sync(user, request).await.expect("the sync succeeds")
    }

    pub(crate) async fn try_sync(&self, user: &Requester, request: SyncRequest) -> Result<Json, ServiceError> {
        let response = sync(&self.ctx, user, request).await?;
        Ok(serde_json::from_slice(&response.0).expect("the answer is JSON"))
    }

    /// What is new since an answer.
    pub(crate) async fn next(&self, user: &Requester, before: &Json) -> Json {
        self.sync(user, since(before)).await
    }
}

/// A request for what is new since an answer.
pub(crate) fn since(before: &Json) -> SyncRequest {
    let token = before["next_batch"].as_str().expect("every answer has a token");
    SyncRequest {
        since: Some(token.to_owned()),
        ..SyncRequest::default()
    }
}

pub(crate) fn filtered(filter: Json, request: SyncRequest) -> SyncRequest {
    SyncRequest {
        filter: Some(filter.to_string()),
        ..request
    }
}

pub(crate) fn waiting(request: SyncRequest) -> SyncRequest {
    SyncRequest {
        timeout: Duration::from_secs(60),
        ..request
    }
}

/// The bodies of the messages of a timeline, in order; of other events the type.
pub(crate) fn told(room: &Json) -> Vec<String> {
    let events = room["timeline"]["events"].as_array().expect("a timeline");
    let name = |event: &Json| {
        event["content"]["body"]
            .as_str()
            .or(event["type"].as_str())
            .map(str::to_owned)
    };
    events.iter().map(|event| name(event).expect("a type")).collect()
}

/// The types and state keys of the state part, sorted.
pub(crate) fn state_of(room: &Json) -> Vec<String> {
    let part = if room["state_after"].is_object() {
        &room["state_after"]
    } else {
        &room["state"]
    };
    let events = part["events"].as_array().expect("a state part");
    let mut names: Vec<String> = events
        .iter()
        .map(|event| {
            format!(
                "{} {}",
                event["type"].as_str().expect("a type"),
                event["state_key"].as_str().expect("a key")
            )
        })
        .collect();
    names.sort();
    names
}

/// A master that only knows where the log ends.
struct HeadOnly(Arc<Mutex<Sequence>>);

#[tonic::async_trait]
impl Master for HeadOnly {
    type SubscribeStream = futures_util::stream::Pending<Result<proto::Frame, Status>>;

    async fn run(&self, _: Request<proto::Command>) -> Result<Response<proto::CommandDone>, Status> {
        Err(Status::unimplemented("no commands in these tests"))
    }

    async fn head(&self, _: Request<proto::HeadRequest>) -> Result<Response<proto::HeadReply>, Status> {
        let position = *self.0.lock().expect("not poisoned");
        let chain = proto::ChainHead {
            writer: WriterId::MASTER.0.into(),
            epoch: EPOCH,
            position,
        };
        Ok(Response::new(proto::HeadReply { chains: vec![chain] }))
    }

    async fn updates(&self, _: Request<proto::UpdatesRequest>) -> Result<Response<proto::UpdatesReply>, Status> {
        Err(Status::unimplemented("nothing is missing in these tests"))
    }

    async fn subscribe(&self, _: Request<proto::SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        Err(Status::unimplemented("frames are handed over in these tests"))
    }
}

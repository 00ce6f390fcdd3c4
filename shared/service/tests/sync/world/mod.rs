//! A server without the endpoints: a real store on SQLite, a real replica, and a writer that appends to the log what a test says, unquestioned.

mod ask;
mod master;
mod say;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use plexus_core::{
    event::SigningKey,
    ids::{NodeId, RoomNid, StateKeyNid, UserNid},
    position::{Position, Sequence, WriterId},
    room_version::RoomVersion,
    row::{Frame, Row},
    state::Node,
};
use plexus_federation::{Federation, FederationParts};
use plexus_replication::{Bus, Clock, MasterTarget, Replica, ReplicaParts, Tasks};
use plexus_service::{
    Ctx, Registration, Requester, ServiceConfig, ServiceError,
    sync::{SyncRequest, sync},
    users::passwords::Passwords,
};
use plexus_storage::{
    Store,
    db::Statement,
    log,
    rooms::{self, RoomInfo},
    users,
};
use plexus_testkit::TestDatabase;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, owned_server_name};
use serde_json::Value as Json;
use tokio::{runtime::Handle, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::master::HeadOnly;
pub(crate) use self::{
    ask::{filtered, since, state_of, told, waiting},
    say::Say,
};

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
    /// Frames that are committed and not published yet, while a test holds them back.
    held: Option<Vec<Arc<Frame>>>,
    _db: TestDatabase,
    _master: watch::Sender<MasterTarget>,
}

struct Room {
    id: OwnedRoomId,
    root: NodeId,
    next_node: NodeId,
    nodes: HashMap<NodeId, Arc<Node>>,
    order: i64,
    notifying: i64,
    prev: Vec<OwnedEventId>,
}

/// What the functions under test are given.
fn ctx(store: Store, replica: Replica) -> Ctx {
    let config = ServiceConfig {
        server_name: owned_server_name!("localhost"),
        default_room_version: VERSION,
        registration: Registration::default(),
        media: plexus_service::Uploads {
            max_upload_bytes: 1,
            require_token: false,
        },
        rooms: plexus_service::ctx::Rooms::default(),
        social: plexus_service::Social::default(),
        accounts: plexus_service::ctx::Accounts::default(),
        identity_servers: plexus_core::filter::Names::default(),
        generation: GENERATION.to_owned(),
        sync: plexus_service::SyncConfig::default(),
    };
    let key = SigningKey::from_seed("1", &[7; 32]).expect("32 bytes make a key");
    let handle = Handle::current();
    let spawn: plexus_federation::Spawn = Arc::new(move |task| {
        handle.spawn(task);
    });
    let parts = FederationParts::alone(&config.server_name, key, store.clone(), Arc::new(|| NOW_MS), spawn);
    let federation = Federation::new(parts).expect("the system has certificates");
    // No test of sync touches a file.
    let media = plexus_media::Media::new(std::path::PathBuf::from("nowhere"), 1, Handle::current());
    Ctx {
        device_lists: plexus_service::federation::DeviceLists::new(federation.spawn()),
        remote_files: plexus_service::media::remote::RemoteFiles::new(media.clone(), 1, federation.spawn()),
        federation,
        store,
        replica,
        config: Arc::new(config),
        clock: Clock::new(|| NOW_MS),
        passwords: Passwords::new(Handle::current()),
        media,
        user_memory: plexus_service::UserMemory::default(),
        sightings: plexus_service::users::sightings::Sightings::default(),
        sent_members: plexus_service::sync::SentMembers::default(),
        syncs_told: plexus_service::presence::SyncsTold::default(),
        derived: plexus_service::derived::Progress::default(),
        searches: plexus_service::search::Searches::default(),
        inbound: plexus_service::federation::Inbound::default(),
        told_rooms: plexus_service::federation::ToldRooms::default(),
        turns: plexus_service::sync::Turns::default(),
    }
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
        let ctx = ctx(store, replica);
        Self {
            ctx,
            key: SigningKey::from_seed("1", &[7; 32]).expect("32 bytes make a key"),
            head,
            ephemeral: 0,
            ephemeral_epoch: 1,
            next_nid: 100,
            keys: HashMap::new(),
            rooms: HashMap::new(),
            held: None,
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
            guest: false,
            suspended: false,
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
                notifying: 0,
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

    /// Commits, and publishes to this process.
    pub(crate) async fn commit(&mut self, rows: Vec<Row>, statements: Vec<Statement>) {
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
        let frame = Arc::new(frame);
        match &mut self.held {
            Some(held) => held.push(frame),
            None => self.ctx.replica.receive(&frame),
        }
    }

    /// From now on this process does not hear of what is committed.
    pub(crate) fn hold(&mut self) {
        self.held = Some(Vec::new());
    }

    /// What was committed since.
    pub(crate) fn release(&mut self) -> Vec<Arc<Frame>> {
        self.held.take().unwrap_or_default()
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

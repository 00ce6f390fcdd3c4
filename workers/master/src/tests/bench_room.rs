//! A master on a test database, and the Commands tests send it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use plexus_core::{event::SigningKey, position::WriterId, room_version::RoomVersion, row::Frame};
use plexus_proto::{
    ChangeMembership, Command, CommandResult, CreateRoom, InitialEvent, Register, SendEvent, change_membership::Action,
    command::Kind,
};
use plexus_replication::{Bus, Clock, MasterError, MasterTarget, Replica, ReplicaParts, Tasks, frames};
use plexus_storage::{Store, db::Database, log};
use plexus_testkit::TestDatabase;
use serde_json::{Value, json};
use tokio::{runtime::Handle, sync::watch, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Identity, Master, MasterConfig};

/// One process with a master, on a database that may have others.
pub(crate) struct Server {
    pub(crate) replica: Replica,
    pub(crate) db: Database,
    pub(crate) master: Arc<Master>,
    stop: CancellationToken,
    end_tasks: CancellationToken,
    running: JoinSet<()>,
}

impl Server {
    /// Starts a process under a name; returns once it leads.
    pub(crate) async fn start(database: &TestDatabase, name: &str) -> Self {
        Self::start_on(database.db.clone(), name).await
    }

    /// Starts a process with a clock of its own.
    pub(crate) async fn start_at(database: &TestDatabase, now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self::start_with(database.db.clone(), "one", Clock::new(now_ms)).await
    }

    pub(crate) async fn start_on(db: Database, name: &str) -> Self {
        Self::start_with(db, name, ticking_clock()).await
    }

    async fn start_with(db: Database, name: &str, clock: Clock) -> Self {
        let end_tasks = CancellationToken::new();
        let tasks = Tasks::new(TaskTracker::new(), end_tasks.clone(), Handle::current());
        let (target, follow) = watch::channel(MasterTarget::Nobody);
        let parts = ReplicaParts {
            store: Store::new(db.clone()),
            bus: Bus::Local,
            master: follow,
            secret: None,
            tasks,
        };
        let replica = Replica::start(parts).await.expect("the log can be read");
        let identity = Identity {
            server_name: "example.org".try_into().expect("a server name"),
            signing_key: Arc::new(SigningKey::from_seed("1", &[7; 32]).expect("a key")),
            clock,
        };
        let config = MasterConfig {
            identity,
            holder: name.to_owned(),
            lease_ttl: Duration::from_secs(60),
        };
        let master = Arc::new(Master::new(config, replica.clone()));
        target.send_replace(MasterTarget::here(master.service()));
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn({
            let (master, stop) = (Arc::clone(&master), stop.clone());
            async move {
                master.run(stop).await;
                drop(target);
            }
        });
        let server = Self {
            replica,
            db,
            master,
            stop,
            end_tasks,
            running,
        };
        server.wait_until_leading().await;
        server
    }

    async fn wait_until_leading(&self) {
        let leading = self.master.leading();
        let led = tokio::time::timeout(Duration::from_secs(20), async {
            while !leading() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        led.await.expect("it leads within 20 s");
    }

    /// Hands the lease back and ends.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.join_all().await;
        self.end_tasks.cancel();
    }

    /// Ends without a word: the lease stays, nothing is wound down.
    pub(crate) fn kill(mut self) {
        self.running.abort_all();
        self.end_tasks.cancel();
    }

    pub(crate) async fn run(&self, id: &str, kind: Kind) -> Result<CommandResult, MasterError> {
        let mut bytes = [0; 16];
        bytes[..id.len()].copy_from_slice(id.as_bytes());
        let command = Command {
            id: Bytes::copy_from_slice(&bytes),
            kind: Some(kind),
            task: None,
        };
        self.replica.run(command).await
    }

    pub(crate) async fn register(&self, user: &str) {
        let register = Register {
            user_id: user.to_owned(),
            display_name: user[1..2].to_owned(),
            ..Register::default()
        };
        self.run(&format!("r{user}")[..8], Kind::Register(register))
            .await
            .expect("the user is registered");
    }

    pub(crate) async fn create_room(&self, id: &str, creator: &str, version: RoomVersion) -> String {
        let create = CreateRoom {
            room_version: version.as_str().parse().expect("a number"),
            creator: creator.to_owned(),
            opaque_id: id.to_owned(),
            events: room_events(creator, version),
            ..CreateRoom::default()
        };
        let result = self.run(id, Kind::CreateRoom(create)).await.expect("the room is made");
        result.room_id.expect("it has an id")
    }

    pub(crate) async fn join(&self, room: &str, user: &str) -> Result<CommandResult, MasterError> {
        self.change_membership(room, user, user, Action::Join).await
    }

    pub(crate) async fn change_membership(
        &self,
        room: &str,
        sender: &str,
        target: &str,
        action: Action,
    ) -> Result<CommandResult, MasterError> {
        let id = format!("m{}{}{:08x}", &target[1..2], action as i32, rand::random::<u32>());
        let change = ChangeMembership {
            room_id: room.to_owned(),
            sender: sender.to_owned(),
            target: target.to_owned(),
            action: action.into(),
            ..ChangeMembership::default()
        };
        self.run(&id, Kind::ChangeMembership(change)).await
    }

    pub(crate) async fn send(&self, id: &str, room: &str, sender: &str, text: &str) -> Result<String, MasterError> {
        let send = SendEvent {
            room_id: room.to_owned(),
            sender: sender.to_owned(),
            kind: "m.room.message".to_owned(),
            content: json!({"body": text}).to_string().into(),
            ..SendEvent::default()
        };
        let result = self.run(id, Kind::SendEvent(send)).await?;
        Ok(result.event_id.expect("it has an id"))
    }

    /// The whole log, checked to be one chain without a hole.
    pub(crate) async fn log(&self) -> Vec<Frame> {
        let stored = log::frames_after(&self.db, WriterId::MASTER, 0, 100_000)
            .await
            .expect("the log can be read");
        let mut at = 0;
        let mut frames = Vec::new();
        for stored in stored {
            assert_eq!(stored.previous, at, "the chain has a hole");
            at = stored.position;
            frames.push(Arc::unwrap_or_clone(frames::decode(stored.frame).expect("a frame")));
        }
        let head = log::head(&self.db, WriterId::MASTER)
            .await
            .expect("the head can be read");
        assert_eq!(
            head.map(|head| head.position),
            Some(at),
            "the head is where the log ends"
        );
        frames
    }
}

/// The events of a public room.
pub(crate) fn room_events(creator: &str, version: RoomVersion) -> Vec<InitialEvent> {
    let event = |kind: &str, state_key: &str, content: &Value| InitialEvent {
        kind: kind.to_owned(),
        state_key: state_key.to_owned(),
        content: content.to_string().into(),
    };
    let users = if version == RoomVersion::V12 {
        json!({})
    } else {
        json!({creator: 100})
    };
    vec![
        event(
            "m.room.create",
            "",
            &json!({"creator": creator, "room_version": version.as_str()}),
        ),
        event("m.room.member", creator, &json!({"membership": "join"})),
        event("m.room.power_levels", "", &json!({"users": users})),
        event("m.room.join_rules", "", &json!({"join_rule": "public"})),
    ]
}

/// A clock that moves a second with each look, the same for every process: it does not go back when the next one leads.
fn ticking_clock() -> Clock {
    static NOW: AtomicI64 = AtomicI64::new(1_700_000_000_000);
    Clock::new(|| NOW.fetch_add(1_000, Ordering::Relaxed))
}

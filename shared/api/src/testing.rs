//! What the tests of this crate share: a server on an empty database, and a client that writes its requests byte by byte.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use plexus_core::{event::SigningKey, room_version::RoomVersion};
use plexus_federation::{Federation, FederationParts};
use plexus_media::Media;
use plexus_replication::{Bus, Clock, MasterTarget, Replica, ReplicaParts, Tasks};
use plexus_service::{
    Ctx, Registration, ServiceConfig, Uploads, media::remote::RemoteFiles, users::passwords::Passwords,
};
use plexus_storage::Store;
use plexus_testkit::{TestDatabase, sqlite_database};
use ruma::owned_server_name;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Handle,
    sync::watch,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    App,
    app::Page,
    forward::Targets,
    routes::{Family, Route},
    serve::{Listeners, serve},
};

/// How long anything in these tests may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// What may be uploaded: more than may ever be held in memory at once.
pub(crate) const MAX_UPLOAD_BYTES: u64 = 100 << 20;
/// The secret of every deployment here.
pub(crate) const SECRET: &str = "the secret of the tests";

/// A running process: its listeners, and the database behind it.
pub(crate) struct Process {
    pub(crate) public: SocketAddr,
    pub(crate) internal: SocketAddr,
    _database: TestDatabase,
    _media: tempfile::TempDir,
    _cancel: tokio_util::sync::DropGuard,
}

/// Starts a process without a master: reads work, Commands do not.
pub(crate) async fn start(families: &[Family], targets: Option<Targets>, routes: &'static [Route]) -> Process {
    let database = sqlite_database().await;
    let cancel = CancellationToken::new();
    let media = tempfile::tempdir().expect("a temporary folder");
    let ctx = ctx(&database, media.path(), &cancel).await;
    let pages = Arc::new(|path: &str| {
        let page = |body: &str| Page {
            status: 200,
            content_type: "text/plain",
            body: body.to_owned(),
        };
        matches!(path, "/health" | "/ready").then(|| page(path))
    });
    let app =
        App::with_routes(ctx, families.to_vec(), targets, SECRET.to_owned(), pages, routes).expect("valid routes");
    let bind = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (public, internal) = (bind(), bind());
    let addresses = (
        public.local_addr().expect("bound"),
        internal.local_addr().expect("bound"),
    );
    let listeners = Listeners {
        public,
        tls: None,
        internal: Some(internal),
        threads: 1,
    };
    let servers = serve(&Arc::new(app), listeners).expect("listens");
    for server in [Some(servers.public), servers.internal].into_iter().flatten() {
        let cancel = cancel.clone();
        let handle = server.handle();
        TaskTracker::new().spawn(async move {
            tokio::select! {
                _ = server => {}
                () = cancel.cancelled() => handle.stop(false).await,
            }
        });
    }
    Process {
        public: addresses.0,
        internal: addresses.1,
        _database: database,
        _media: media,
        _cancel: cancel.drop_guard(),
    }
}

async fn ctx(database: &TestDatabase, media: &Path, cancel: &CancellationToken) -> Ctx {
    let store = Store::new(database.db.clone());
    let parts = ReplicaParts {
        store: store.clone(),
        bus: Bus::Local,
        master: watch::channel(MasterTarget::Nobody).1,
        secret: None,
        tasks: Tasks::new(TaskTracker::new(), cancel.clone(), Handle::current()),
    };
    let config = ServiceConfig {
        server_name: owned_server_name!("here"),
        default_room_version: RoomVersion::V12,
        registration: Registration {
            open: true,
            ..Registration::default()
        },
        media: Uploads {
            max_upload_bytes: MAX_UPLOAD_BYTES,
            require_token: false,
        },
        rooms: plexus_service::ctx::Rooms::default(),
        social: plexus_service::Social::default(),
        accounts: plexus_service::ctx::Accounts::default(),
        identity_servers: plexus_core::filter::Names::default(),
        generation: "g".to_owned(),
        sync: plexus_service::SyncConfig::default(),
    };
    let key = SigningKey::from_seed("1", &[7; 32]).expect("a key");
    let handle = Handle::current();
    let spawn: plexus_federation::Spawn = Arc::new(move |task| {
        handle.spawn(task);
    });
    let federation = FederationParts::alone(&config.server_name, key, store.clone(), Arc::new(|| 0), spawn);
    let federation = Federation::new(federation).expect("the system has certificates");
    let remote = Media::new(media.join("remote"), 1 << 24, Handle::current());
    Ctx {
        device_lists: plexus_service::federation::DeviceLists::new(federation.spawn()),
        remote_files: RemoteFiles::new(remote, 1 << 30, federation.spawn()),
        federation,
        store,
        replica: Replica::start(parts).await.expect("starts"),
        config: Arc::new(config),
        clock: Clock::new(|| 0),
        passwords: Passwords::new(Handle::current()),
        media: Media::new(media.to_owned(), 1 << 24, Handle::current()),
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

/// Sends bytes on a connection of their own and reads the answer to its end.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut answer = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut answer))
        .await
        .expect("in time")
        .expect("reads");
    Answer::parse(&answer)
}

/// A request without a body, after which the server closes the connection.
pub(crate) async fn request(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.push_str("\r\n");
    exchange(address, &text).await
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no whole head: {text}"));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status line");
        Self {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    /// The errcode in the body.
    pub(crate) fn errcode(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["errcode"].as_str().unwrap_or_default().to_owned()
    }
}

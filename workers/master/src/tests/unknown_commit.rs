//! COMMIT is sent and the connection is gone: the sequencer has to find out what became of it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use plexus_core::{room_version::RoomVersion, row::Row};
use plexus_storage::db::{Database, DatabaseConfig};
use plexus_testkit::postgres_database;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

use super::Server;

const ALICE: &str = "@alice:example.org";
/// The message that asks PostgreSQL for a COMMIT, without its length.
const COMMIT: &[u8] = b"COMMIT\0";

/// What the proxy does to the next COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Nothing = 0,
    /// PostgreSQL gets it, and its answer is lost.
    Answer = 1,
    /// It is lost itself.
    Question = 2,
}

/// A socket in front of PostgreSQL's.
struct Proxy {
    folder: tempfile::TempDir,
    cut: Arc<AtomicU8>,
    /// Ends with the proxy, and every connection with it.
    _carrying: JoinSet<()>,
}

impl Proxy {
    fn start(server: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let cut = Arc::new(AtomicU8::new(Cut::Nothing as u8));
        let armed = Arc::clone(&cut);
        let mut carrying = JoinSet::new();
        carrying.spawn(async move {
            let mut relays = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let upstream = UnixStream::connect(server.join(".s.PGSQL.5432")).await.unwrap();
                relays.spawn(relay(client, upstream, Arc::clone(&armed)));
            }
        });
        Self {
            folder,
            cut,
            _carrying: carrying,
        }
    }

    fn arm(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }

    fn has_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst) == Cut::Nothing as u8
    }
}

/// Carries bytes both ways, until it is its turn to cut.
async fn relay(mut client: UnixStream, mut server: UnixStream, armed: Arc<AtomicU8>) {
    let (mut question, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let Ok(count @ 1..) = read else { return };
                let bytes = &question[..count];
                let is_commit = bytes.windows(COMMIT.len()).any(|window| window == COMMIT);
                let cut = if is_commit { armed.swap(Cut::Nothing as u8, Ordering::SeqCst) } else { 0 };
                if cut == Cut::Question as u8 {
                    return;
                }
                server.write_all(bytes).await.unwrap();
                if cut == Cut::Answer as u8 {
                    let lost = server.read(&mut answer).await.unwrap();
                    assert!(lost > 0, "PostgreSQL hung up instead of answering");
                    return;
                }
            }
            read = server.read(&mut answer) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&answer[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn through(config: &DatabaseConfig, proxy: &Path) -> (PathBuf, DatabaseConfig) {
    let DatabaseConfig::Postgres { url, pool_max } = config else {
        panic!("not PostgreSQL")
    };
    let (before, rest) = url.split_once("host=").unwrap();
    let (host, after) = rest.split_once('&').unwrap();
    let url = format!("{before}host={}&{after}", proxy.display());
    (
        PathBuf::from(host),
        DatabaseConfig::Postgres {
            url,
            pool_max: *pool_max,
        },
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_of_commit_is_found_out_and_nothing_is_done_twice() {
    let database = postgres_database().await;
    let (host, _) = through(&database.config, Path::new(""));
    let proxy = Proxy::start(host);
    let (_, config) = through(&database.config, proxy.folder.path());
    let server = Server::start_on(Database::open(&config).await.unwrap(), "one").await;
    server.register(ALICE).await;
    let room = server.create_room("room", ALICE, RoomVersion::V12).await;
    for (number, cut) in [Cut::Answer, Cut::Question, Cut::Answer].into_iter().enumerate() {
        proxy.arm(cut);
        server.send(&format!("s{number}"), &room, ALICE, "once").await.unwrap();
        assert!(proxy.has_cut(), "{cut:?}: no COMMIT came by");
    }
    let log = server.log().await;
    let events = log
        .iter()
        .flat_map(|frame| &frame.rows)
        .filter(|row| matches!(row, Row::Event(_)))
        .count();
    assert_eq!(events, 4 + 3);
    server.stop().await;
}

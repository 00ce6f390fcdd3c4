//! Fresh, migrated databases on both engines.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use plexus_storage::db::{Database, DatabaseConfig, DbError, Engine, Statement, migrate};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::cluster::{Cluster, ClusterOptions};

const TEMPLATE: &str = "plexus_template";
/// How long the server may take to start, and a template to be free of connections.
const START_DEADLINE: Duration = Duration::from_secs(60);
const POOL_MAX: usize = 4;

/// One server for all tests of a process. It is never dropped; its keeper stops it when the process ends.
static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);

/// An empty, migrated database, gone when it is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    /// Open and ready.
    pub db: Database,
    /// Opens it once more (SQLite only after `db` and its clones are dropped).
    pub config: DatabaseConfig,
    /// Which engine it is, for messages.
    pub engine: Engine,
    /// The folder of a SQLite database.
    folder: Option<TempDir>,
}

impl TestDatabase {
    /// Drops every connection and opens the same database again.
    pub async fn reopen(self) -> Self {
        let Self {
            db,
            config,
            engine,
            folder,
        } = self;
        drop(db);
        let db = Database::open(&config).await.expect("it was open before");
        Self {
            db,
            config,
            engine,
            folder,
        }
    }
}

/// A fresh database on each engine: what every storage test runs on.
pub async fn databases() -> [TestDatabase; 2] {
    [sqlite_database().await, postgres_database().await]
}

/// A fresh SQLite database.
pub async fn sqlite_database() -> TestDatabase {
    let folder = tempfile::Builder::new()
        .prefix("plexus-sqlite-")
        .tempdir()
        .expect("a temporary folder can be made");
    let config = DatabaseConfig::Sqlite {
        path: folder.path().join("plexus.db"),
    };
    let db = Database::open(&config).await.expect("a new file can be opened");
    migrate(&db).await.expect("a new database can be migrated");
    TestDatabase {
        db,
        config,
        engine: Engine::Sqlite,
        folder: Some(folder),
    }
}

/// A fresh PostgreSQL database, cloned from a migrated template on this process's own server.
pub async fn postgres_database() -> TestDatabase {
    let cluster = CLUSTER.get_or_init(start).await;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    create(cluster, &name, TEMPLATE).await;
    let config = config(cluster, &name);
    let db = Database::open(&config).await.expect("a new database can be opened");
    TestDatabase {
        db,
        config,
        engine: Engine::Postgres,
        folder: None,
    }
}

fn config(cluster: &Cluster, database: &str) -> DatabaseConfig {
    DatabaseConfig::Postgres {
        url: cluster.url(database),
        pool_max: POOL_MAX,
    }
}

async fn start() -> Cluster {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(ClusterOptions::default()))
        .await
        .expect("the server starts, or says above why not");
    create(&cluster, TEMPLATE, "template0").await;
    let template = Database::open(&config(&cluster, TEMPLATE)).await;
    let template = template.expect("the template can be opened");
    migrate(&template).await.expect("the template can be migrated");
    cluster
}

/// Creates a database, once the server has started and nobody is connected to the template any more.
async fn create(cluster: &Cluster, name: &str, template: &str) {
    let sql = format!("-- testkit::create\nCREATE DATABASE {name} TEMPLATE {template}");
    // Statements are `&'static str` everywhere; a test process makes few databases.
    let sql: &'static str = Box::leak(sql.into_boxed_str());
    let deadline = Instant::now() + START_DEADLINE;
    loop {
        let error = match try_create(cluster, sql).await {
            Ok(()) => return,
            Err(error) => error,
        };
        assert!(
            Instant::now() < deadline,
            "cannot create a test database: {error}\nthe server's log:\n{}",
            cluster.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn try_create(cluster: &Cluster, sql: &'static str) -> Result<(), DbError> {
    let db = Database::open(&config(cluster, "postgres")).await?;
    db.execute(Statement::new(sql, [])).await.map(drop)
}

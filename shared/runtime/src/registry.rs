//! The processes of the deployment: this one's row renewed, the others' remembered.
//!
//! What is remembered may be a moment old. That costs whoever uses it a retry and nothing else: a forwarded request goes to the next target, and the
//! process it should not have reached refuses it.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use plexus_api::{
    forward::{Target, Targets, weight},
    routes::Family,
};
use plexus_replication::Replica;
use plexus_storage::{
    db::DbError,
    processes::{self, Process},
};

use crate::role::{Role, Share};

/// How often a row is renewed and the others are read.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// How long a row outlives its last renewal: a few that fail are survived, and a process that was killed is soon forgotten.
const ROW_TTL_MS: i64 = 5000;

/// How many row kinds of the log this release knows; the master writes a kind once every registered process knows it.
const ROWS_KNOWN: i64 = 21;

/// The registry as this process knows it.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    own: Arc<Own>,
    others: Arc<ArcSwap<Vec<Peer>>>,
}

#[derive(Debug)]
struct Own {
    name: String,
    roles: String,
    address: String,
    replica: Replica,
    /// Every role there is, to tell what a registered process serves.
    known: &'static [Role],
}

/// Another process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Peer {
    target: Target,
    roles: Vec<&'static str>,
    families: Vec<Family>,
}

impl Registry {
    /// Enters this process, and reads who else is there.
    pub(crate) async fn enter(
        name: &str,
        roles: &[Role],
        known: &'static [Role],
        address: String,
        replica: Replica,
    ) -> Result<Self, DbError> {
        let roles = roles.iter().map(|role| role.name).collect::<Vec<_>>().join(",");
        let own = Own {
            name: name.to_owned(),
            roles,
            address,
            replica,
            known,
        };
        let registry = Self {
            own: Arc::new(own),
            others: Arc::default(),
        };
        registry.renew().await?;
        Ok(registry)
    }

    /// The processes that serve a family.
    pub(crate) fn targets(&self) -> Targets {
        let others = Arc::clone(&self.others);
        Arc::new(move |family| {
            let others = others.load();
            others
                .iter()
                .filter(|peer| peer.families.contains(&family))
                .map(|peer| peer.target.clone())
                .collect()
        })
    }

    /// Divides names among the processes that have a role: by rendezvous hashing, so that only the names of one that comes or goes move.
    pub(crate) fn share(&self, role: &'static str) -> Share {
        let registry = self.clone();
        Arc::new(move |name| {
            let others = registry.others.load();
            let own = weight(&registry.own.name, name);
            let rivals = others.iter().filter(|peer| peer.roles.contains(&role));
            rivals
                .map(|peer| weight(&peer.target.name, name))
                .all(|rival| rival < own)
        })
    }

    /// Renews this process's row until the task is ended. While the database is away, what was known stays.
    pub(crate) async fn keep(self) {
        let mut failing = false;
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            match self.renew().await {
                Ok(()) => failing = false,
                Err(error) if failing => tracing::debug!(%error, "the registry of processes is still out of reach"),
                Err(error) => {
                    failing = true;
                    tracing::warn!(%error, "the registry of processes cannot be reached");
                }
            }
        }
    }

    /// Takes this process out, so that nobody forwards to it any more.
    pub(crate) async fn leave(&self) {
        if let Err(error) = processes::withdraw(self.own.replica.store().db(), &self.own.name).await {
            tracing::warn!(%error, "cannot leave the registry of processes; the row runs out by itself");
        }
    }

    async fn renew(&self) -> Result<(), DbError> {
        let own = &self.own;
        let db = own.replica.store().db();
        let row = Process {
            name: own.name.clone(),
            roles: own.roles.clone(),
            internal_address: own.address.clone(),
            rows_known: ROWS_KNOWN,
            position: own.replica.position().to_string(),
        };
        processes::announce(db, &row, ROW_TTL_MS).await?;
        let listed = processes::list(db).await?;
        let others = listed
            .iter()
            .filter(|process| process.name != own.name)
            .map(|process| peer(process, own.known));
        self.others.store(Arc::new(others.collect()));
        Ok(())
    }
}

/// Reads a row. A role that this release does not know serves nothing that it could forward.
fn peer(process: &Process, known: &'static [Role]) -> Peer {
    let roles: Vec<Role> = process
        .roles
        .split(',')
        .filter_map(|name| known.iter().find(|role| role.name == name).copied())
        .collect();
    Peer {
        target: Target {
            name: process.name.clone(),
            address: process.internal_address.clone(),
        },
        roles: roles.iter().map(|role| role.name).collect(),
        families: crate::role::families(&roles),
    }
}

#[cfg(test)]
mod tests {
    use plexus_replication::{Bus, MasterTarget, ReplicaParts, Tasks};
    use plexus_storage::{Store, db::Database};
    use tokio::{runtime::Handle, sync::watch};
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    use super::*;

    static KNOWN: &[Role] = &[
        Role {
            name: "client-reader",
            families: &[Family::Client, Family::Admin],
            master: None,
            background: None,
        },
        Role {
            name: "sync",
            families: &[Family::Sync],
            master: None,
            background: None,
        },
    ];

    #[test]
    fn a_process_serves_what_its_known_roles_serve() {
        let mut process = Process {
            name: "one".to_owned(),
            roles: "sync,client-reader".to_owned(),
            internal_address: "127.0.0.1:1".to_owned(),
            rows_known: ROWS_KNOWN,
            position: String::new(),
        };
        assert_eq!(
            peer(&process, KNOWN).families,
            [Family::Client, Family::Sync, Family::Admin]
        );
        process.roles = "teleport,sync".to_owned();
        assert_eq!(peer(&process, KNOWN).families, [Family::Sync]);
        process.roles = String::new();
        assert!(peer(&process, KNOWN).families.is_empty());
    }

    async fn enter(db: &Database, role: usize, name: &str) -> Registry {
        let tasks = Tasks::new(TaskTracker::new(), CancellationToken::new(), Handle::current());
        let (_, master) = watch::channel(MasterTarget::Nobody);
        let parts = ReplicaParts {
            store: Store::new(db.clone()),
            bus: Bus::Local,
            master,
            secret: None,
            tasks,
        };
        let replica = Replica::start(parts).await.expect("the log can be read");
        let address = format!("{name}:9009");
        Registry::enter(name, &KNOWN[role..=role], KNOWN, address, replica)
            .await
            .expect("the table is there")
    }

    #[tokio::test]
    async fn processes_find_each_other_and_forget_who_left() {
        let database = plexus_testkit::sqlite_database().await;
        let reader = enter(&database.db, 0, "reader1").await;
        let sync = enter(&database.db, 1, "sync1").await;
        let target = |name: &str| Target {
            name: name.to_owned(),
            address: format!("{name}:9009"),
        };
        assert_eq!(sync.targets()(Family::Client), [target("reader1")]);
        assert!(
            sync.targets()(Family::Sync).is_empty(),
            "a process is no target of its own"
        );
        // The first one does not know the second before it looks again: until then a request goes nowhere, which costs a retry.
        assert!(reader.targets()(Family::Sync).is_empty());
        reader.renew().await.expect("renewed");
        assert_eq!(reader.targets()(Family::Sync), [target("sync1")]);
        sync.leave().await;
        reader.renew().await.expect("renewed");
        assert!(reader.targets()(Family::Sync).is_empty());
    }

    #[tokio::test]
    async fn every_name_is_one_process_of_the_role() {
        let database = plexus_testkit::sqlite_database().await;
        let first = enter(&database.db, 1, "sync1").await;
        let alone = first.share("sync");
        assert!((0..100).all(|name| alone(&name.to_string())));
        let second = enter(&database.db, 1, "sync2").await;
        let _other_role = enter(&database.db, 0, "reader1").await;
        first.renew().await.expect("renewed");
        let (of_first, of_second) = (first.share("sync"), second.share("sync"));
        let firsts = (0..100).filter(|name| of_first(&name.to_string())).count();
        assert!((20..80).contains(&firsts), "{firsts}");
        assert!((0..100).all(|name| of_first(&name.to_string()) != of_second(&name.to_string())));
    }
}

//! Leases, facts, the registry, and the stored log.

use bytes::Bytes;
use plexus_core::position::WriterId;
use plexus_storage::{
    db::CommitError,
    facts, leases,
    log::{self, Head, StoredFrame},
    processes::{self, Process},
};
use plexus_testkit::{databases, sqlite_database};

const WRITER: WriterId = WriterId::MASTER;
const LONG: i64 = 60_000;

#[tokio::test]
async fn a_lease_is_held_by_one_and_passes_on_in_a_higher_epoch() {
    for test in databases().await {
        let db = &test.db;
        assert_eq!(leases::leader(db, WRITER).await.unwrap(), None);
        assert_eq!(leases::acquire(db, WRITER, "a", LONG).await.unwrap(), Some(1));
        assert_eq!(leases::acquire(db, WRITER, "b", LONG).await.unwrap(), None);
        assert_eq!(leases::acquire(db, WriterId(2), "b", LONG).await.unwrap(), Some(1));
        assert_eq!(leases::leader(db, WRITER).await.unwrap().unwrap().holder, "a");
        assert!(leases::renew(db, WRITER, "a", 1, LONG).await.unwrap());
        assert!(!leases::renew(db, WRITER, "b", 1, LONG).await.unwrap());
        assert!(!leases::release(db, WRITER, "b", 1).await.unwrap());
        assert!(leases::release(db, WRITER, "a", 1).await.unwrap());
        assert!(!leases::renew(db, WRITER, "a", 1, LONG).await.unwrap());
        assert_eq!(leases::acquire(db, WRITER, "b", 0).await.unwrap(), Some(2));
        assert_eq!(leases::leader(db, WRITER).await.unwrap(), None);
        assert_eq!(leases::acquire(db, WRITER, "a", LONG).await.unwrap(), Some(3));
    }
}

#[tokio::test]
async fn a_dead_process_of_sqlite_leaves_no_lease() {
    let test = sqlite_database().await;
    leases::acquire(&test.db, WRITER, "dead", LONG).await.unwrap();
    processes::announce(&test.db, &process("dead"), LONG).await.unwrap();
    let test = test.reopen().await;
    assert_eq!(leases::acquire(&test.db, WRITER, "next", LONG).await.unwrap(), Some(2));
    assert!(processes::list(&test.db).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_fact_is_stated_once() {
    for test in databases().await {
        let db = &test.db;
        assert_eq!(facts::get(db, facts::GENERATION).await.unwrap(), None);
        let (left, right) = tokio::join!(
            facts::get_or_insert(db, facts::GENERATION, "left"),
            facts::get_or_insert(db, facts::GENERATION, "right"),
        );
        assert_eq!(left.unwrap(), right.unwrap());
        facts::set(db, facts::GENERATION, "restored").await.unwrap();
        let now = facts::get_or_insert(db, facts::GENERATION, "late").await.unwrap();
        assert_eq!(now, "restored");
    }
}

fn process(name: &str) -> Process {
    Process {
        name: name.to_owned(),
        roles: "sync,media".to_owned(),
        internal_address: "127.0.0.1:1".to_owned(),
        rows_known: 7,
        position: "1~5".to_owned(),
    }
}

#[tokio::test]
async fn the_registry_lists_who_is_alive() {
    for test in databases().await {
        let db = &test.db;
        for (name, ttl_ms) in [("b", LONG), ("a", LONG), ("gone", 0), ("c", LONG)] {
            processes::announce(db, &process(name), ttl_ms).await.unwrap();
        }
        let moved = Process {
            position: "1~6".to_owned(),
            ..process("b")
        };
        processes::announce(db, &moved, LONG).await.unwrap();
        processes::withdraw(db, "c").await.unwrap();
        assert_eq!(processes::list(db).await.unwrap(), [process("a"), moved]);
    }
}

fn frame(previous: i64, position: i64) -> StoredFrame {
    StoredFrame {
        previous,
        position,
        epoch: 4,
        created_ms: position * 10,
        frame: Bytes::from(position.to_string()),
    }
}

#[tokio::test]
async fn the_log_is_a_chain_that_only_its_leader_extends() {
    for test in databases().await {
        let db = &test.db;
        assert_eq!(log::head(db, WRITER).await.unwrap(), None);
        assert_eq!(log::oldest(db, WRITER).await.unwrap(), None);
        assert!(log::take_over(db, WRITER, 4).await.unwrap());
        assert!(!log::take_over(db, WRITER, 4).await.unwrap());
        let mut writer = db.writer().await.unwrap();
        let mut commit = async |epoch, previous, position| {
            let head = log::advance_head(WRITER, epoch, previous, position);
            writer
                .commit(vec![log::append(WRITER, frame(previous, position)), head])
                .await
        };
        commit(4, 0, 2).await.unwrap();
        commit(4, 2, 3).await.unwrap();
        for (epoch, previous, position) in [(3, 3, 4), (4, 2, 4), (5, 3, 4)] {
            let error = commit(epoch, previous, position).await.unwrap_err();
            assert!(
                matches!(
                    error,
                    CommitError::Unexpected {
                        statement: 1,
                        sql: "log::advance_head",
                        ..
                    }
                ),
                "{error}"
            );
        }
        commit(4, 3, 7).await.unwrap();
        assert_eq!(
            log::head(db, WRITER).await.unwrap(),
            Some(Head { position: 7, epoch: 4 })
        );
        let frames = log::frames_after(db, WRITER, 0, 2).await.unwrap();
        assert_eq!(frames, [frame(0, 2), frame(2, 3)]);
        assert_eq!(log::frames_after(db, WRITER, 3, 9).await.unwrap(), [frame(3, 7)]);
        assert!(log::frames_after(db, WriterId(2), 0, 9).await.unwrap().is_empty());
        assert_eq!(db.execute(log::prune(WRITER, 25, 100)).await.unwrap(), 1);
        assert_eq!(db.execute(log::prune(WRITER, 1000, 1)).await.unwrap(), 1);
        assert_eq!(log::oldest(db, WRITER).await.unwrap(), Some(3));
        assert!(log::take_over(db, WRITER, 6).await.unwrap());
        assert!(commit(4, 7, 8).await.is_err());
    }
}

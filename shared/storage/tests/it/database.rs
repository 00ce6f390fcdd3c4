//! What a database does, the same on both engines.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use plexus_storage::db::{
    CommitError, Database, DbError, Rejection, Statement, Value, migrate, now_ms, require_schema,
};
use plexus_testkit::databases;
use tokio::task::JoinSet;

fn insert_user(nid: i64, id: &str) -> Statement {
    let sql = "-- test::insert_user\nINSERT INTO users (user_nid, user_id) VALUES ($1, $2)";
    Statement::new(sql, [nid.into(), id.into()])
}

fn insert_node(room: i64, node: i64, body: &[u8]) -> Statement {
    let sql =
        "-- test::insert_node\nINSERT INTO state_nodes (room_nid, node_id, checksum, body) VALUES ($1, $2, $3, $4)";
    let body = Bytes::copy_from_slice(body);
    Statement::new(sql, [room.into(), node.into(), 0.into(), body.into()])
}

async fn users(db: &Database) -> Vec<i64> {
    let sql = "-- test::users\nSELECT user_nid FROM users ORDER BY user_nid";
    let rows = db.query(sql, &[]).await.expect("the database answers");
    rows.iter().map(|row| row.int(0).expect("a number")).collect()
}

#[tokio::test]
async fn every_type_comes_back_as_it_went_in() {
    for test in databases().await {
        let db = &test.db;
        for (nid, number) in [(1, i64::MIN), (2, i64::MAX), (3, -1)] {
            db.execute(insert_node(number, nid, &[0, 255, 0])).await.unwrap();
            let sql = "-- test::node\nSELECT room_nid, body FROM state_nodes WHERE node_id = $1";
            let row = db.query_opt(sql, &[nid.into()]).await.unwrap().unwrap();
            assert_eq!(row.int(0).unwrap(), number, "{:?}", test.engine);
            assert_eq!(row.bytes(1).unwrap(), Bytes::from_static(&[0, 255, 0]));
        }
        db.execute(insert_node(1, 4, &[])).await.unwrap();
        db.execute(insert_user(1, "@ünï:x")).await.unwrap();
        let sql = "-- test::account\nINSERT INTO accounts (user_nid, password_hash, admin, deactivated, created_ms) VALUES ($1, $2, $3, $4, $5)";
        let account = [1.into(), Value::Null, true.into(), false.into(), 5.into()];
        db.execute(Statement::new(sql, account)).await.unwrap();
        let sql = "-- test::read\nSELECT u.user_id, a.password_hash, a.admin, a.deactivated, n.body\n\
            FROM users u, accounts a, state_nodes n WHERE a.user_nid = u.user_nid AND n.node_id = 4";
        let row = db.query_opt(sql, &[]).await.unwrap().unwrap();
        assert_eq!(row.text(0).unwrap(), "@ünï:x");
        assert_eq!(row.opt_text(1).unwrap(), None);
        assert!(row.bool(2).unwrap());
        assert!(!row.bool(3).unwrap());
        assert_eq!(row.opt_bytes(4).unwrap(), Some(Bytes::new()));
        let wrong = row.int(0).unwrap_err().to_string();
        assert_eq!(wrong, "test::read: column 0 should be BIGINT and is TEXT");
        assert!(matches!(row.text(1), Err(DbError::Column { found: "NULL", .. })));
        assert!(matches!(row.text(9), Err(DbError::Column { index: 9, .. })));
    }
}

#[tokio::test]
async fn lists_may_be_empty() {
    for test in databases().await {
        let db = &test.db;
        for nid in 1..=3 {
            db.execute(insert_user(nid, &nid.to_string())).await.unwrap();
        }
        let sql = "-- test::some\nSELECT user_nid FROM users WHERE user_nid = ANY($1) ORDER BY user_nid";
        for (list, found) in [(vec![], 0), (vec![3, 1, 9, 1, i64::MIN], 2)] {
            let rows = db.query(sql, &[list.into()]).await.unwrap();
            assert_eq!(rows.len(), found, "{:?}", test.engine);
        }
    }
}

#[tokio::test]
async fn a_wrong_value_is_an_error_and_not_something_else() {
    for test in databases().await {
        let db = &test.db;
        let sql = "-- test::wrong\nINSERT INTO users (user_nid, user_id) VALUES ($1, $2)";
        let not_given = [Value::SequenceOf(0), "x".into()];
        let swapped = ["x".into(), "x".into()];
        for params in [not_given, swapped] {
            let error = db.execute(Statement::new(sql, params)).await.unwrap_err();
            assert!(
                matches!(
                    error,
                    DbError::Rejected {
                        statement: "test::wrong",
                        ..
                    }
                ),
                "{error}"
            );
        }
        let error = db.execute(Statement::new(sql, [1.into()])).await.unwrap_err();
        assert!(matches!(error, DbError::Rejected { .. }), "{error}");
        assert!(users(db).await.is_empty());
    }
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    for test in databases().await {
        let db = &test.db;
        let touched = db.transaction(vec![insert_user(1, "a"), insert_user(2, "b")]).await;
        assert_eq!(touched.unwrap(), [1, 1]);
        let poison = vec![insert_user(3, "c"), insert_user(1, "again"), insert_user(4, "d")];
        let error = db.transaction(poison).await.unwrap_err();
        assert!(error.is_unique_violation(), "{:?}: {error}", test.engine);
        let unexpected = vec![insert_user(5, "e"), delete_user(9).expecting(1)];
        let error = db.transaction(unexpected).await.unwrap_err();
        assert!(
            matches!(
                error,
                DbError::Unexpected {
                    statement: 1,
                    sql: "test::delete_user",
                    expected: 1,
                    actual: 0
                }
            ),
            "{error}"
        );
        let error = db.execute(delete_user(9).expecting(1)).await.unwrap_err();
        assert!(matches!(error, DbError::Unexpected { .. }), "{error}");
        assert_eq!(users(db).await, [1, 2]);
        assert_eq!(db.execute(delete_user(1)).await.unwrap(), 1);
        assert_eq!(users(db).await, [2]);
    }
}

fn delete_user(nid: i64) -> Statement {
    let sql = "-- test::delete_user\nDELETE FROM users WHERE user_nid = $1";
    Statement::new(sql, [nid.into()])
}

#[tokio::test]
async fn a_missing_reference_is_told_from_other_errors() {
    for test in databases().await {
        let sql = "-- test::profile\nINSERT INTO profiles (user_nid, field, value) VALUES ($1, $2, $3)";
        let profile = Statement::new(sql, [1.into(), "f".into(), Bytes::new().into()]);
        let error = test.db.execute(profile).await.unwrap_err();
        let DbError::Rejected { rejection, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(rejection, Rejection::ForeignKey);
    }
}

#[tokio::test]
async fn a_writer_commits_and_rolls_back() {
    for test in databases().await {
        let mut writer = test.db.writer().await.unwrap();
        writer
            .commit(vec![insert_user(1, "a"), insert_user(2, "b")])
            .await
            .unwrap();
        let poison = vec![insert_user(3, "c"), insert_user(2, "b")];
        let error = writer.commit(poison).await.unwrap_err();
        assert!(
            matches!(&error, CommitError::Failed(error) if error.is_unique_violation()),
            "{error}"
        );
        let unexpected = vec![insert_user(4, "d"), delete_user(9).expecting(1)];
        let error = writer.commit(unexpected).await.unwrap_err();
        assert!(matches!(error, CommitError::Unexpected { statement: 1, .. }), "{error}");
        writer.commit(vec![]).await.unwrap();
        let many = (10..200).map(|nid| insert_user(nid, &nid.to_string())).collect();
        writer.commit(many).await.unwrap();
        assert_eq!(users(&test.db).await.len(), 192);
    }
}

/// A failing job must not take others with it, and none of them may be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_run_together_fail_alone() {
    for test in databases().await {
        let failed = Arc::new(AtomicI64::new(0));
        let jobs = (0..200).map(|job: i64| {
            let (db, failed) = (test.db.clone(), Arc::clone(&failed));
            async move {
                let nid = 2 * job + 1;
                let second = if job % 3 == 0 { nid } else { nid + 1 };
                let pair = vec![
                    insert_user(nid, &nid.to_string()),
                    insert_user(second, &format!("s{second}")),
                ];
                if db.transaction(pair).await.is_err() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        jobs.collect::<JoinSet<()>>().join_all().await;
        assert_eq!(failed.load(Ordering::Relaxed), 67, "{:?}", test.engine);
        assert_eq!(users(&test.db).await.len(), 2 * 133);
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_half_done() {
    for test in databases().await {
        let mut writer = test.db.writer().await.unwrap();
        for nid in 0..40 {
            let pair = vec![
                insert_user(2 * nid, &format!("a{nid}")),
                insert_user(2 * nid + 1, &format!("b{nid}")),
            ];
            let patience = Duration::from_micros(u64::try_from(nid).unwrap() * 25);
            drop(tokio::time::timeout(patience, writer.commit(pair.clone())).await);
        }
        writer.commit(vec![insert_user(1000, "last")]).await.unwrap();
        let kept = users(&test.db).await;
        assert!(
            kept[..kept.len() - 1].chunks(2).all(|pair| pair[0] + 1 == pair[1]),
            "{kept:?}"
        );
    }
}

#[tokio::test]
async fn the_clock_runs() {
    for test in databases().await {
        let before = now_ms(&test.db).await.unwrap();
        assert!(before > 1_700_000_000_000 && before < 10_000_000_000_000, "{before}");
        assert!(now_ms(&test.db).await.unwrap() >= before);
    }
}

#[tokio::test]
async fn seed_5268_a_database_of_an_altered_migration_is_refused() {
    for test in databases().await {
        let db = &test.db;
        migrate(db).await.unwrap();
        // A program that did not record them yet leaves none behind; that is made up for.
        let sql = "-- test::forget\nDELETE FROM schema_checksums WHERE version = 2";
        assert_eq!(db.execute(Statement::new(sql, [])).await.unwrap(), 1);
        require_schema(db).await.unwrap();
        migrate(db).await.unwrap();
        let sql = "-- test::alter\nUPDATE schema_checksums SET checksum = $1 WHERE version = 2";
        let other = Bytes::from_static(&[0; 32]);
        assert_eq!(db.execute(Statement::new(sql, [other.into()])).await.unwrap(), 1);
        for error in [migrate(db).await.unwrap_err(), require_schema(db).await.unwrap_err()] {
            assert!(matches!(error, DbError::SchemaAltered { version: 2 }), "{error}");
        }
    }
}

#[tokio::test]
async fn migrating_twice_changes_nothing_and_a_newer_schema_is_refused() {
    for test in databases().await {
        let db = &test.db;
        let (left, right) = tokio::join!(migrate(db), migrate(db));
        assert_eq!(left.unwrap(), right.unwrap());
        require_schema(db).await.unwrap();
        let sql = "-- test::newer\nINSERT INTO schema_version (version, runs_with, applied_ms) VALUES (99, 99, 0)";
        db.execute(Statement::new(sql, [])).await.unwrap();
        for error in [migrate(db).await.unwrap_err(), require_schema(db).await.unwrap_err()] {
            assert!(matches!(error, DbError::SchemaNewer { found: 99, .. }), "{error}");
            assert!(error.to_string().contains("upgrade"), "{error}");
        }
    }
}

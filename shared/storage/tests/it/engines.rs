//! What one engine does that the other has no notion of.

use plexus_storage::db::{CommitError, Database, DatabaseConfig, DbError, Statement, Value, migrate, require_schema};
use plexus_testkit::{postgres_database, sqlite_database};
use tokio::task::JoinSet;

fn insert_fact(name: &str) -> Statement {
    let sql = "-- test::insert_fact\nINSERT INTO facts (name, value) VALUES ($1, $2)";
    Statement::new(sql, [name.into(), "x".into()])
}

const KILL_OTHERS: &str = "-- test::kill\nSELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity\n\
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test]
async fn a_second_process_is_refused_and_the_next_one_is_not() {
    let test = sqlite_database().await;
    let error = Database::open(&test.config).await.unwrap_err();
    assert!(matches!(error, DbError::InUse(_)), "{error}");
    assert!(error.to_string().contains("another process"), "{error}");
    test.db.execute(insert_fact("kept")).await.unwrap();
    let test = test.reopen().await;
    let sql = "-- test::facts\nSELECT name FROM facts";
    assert_eq!(test.db.query(sql, &[]).await.unwrap()[0].text(0).unwrap(), "kept");
}

#[tokio::test]
async fn a_file_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    let config = DatabaseConfig::Sqlite { path: path.clone() };
    std::fs::write(&path, "this is no database, but long enough to be taken for one").unwrap();
    let error = Database::open(&config).await.unwrap_err();
    assert!(error.to_string().contains("other.db"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let made = Database::open(&config).await.unwrap();
    let error = require_schema(&made).await.unwrap_err();
    assert!(matches!(error, DbError::SchemaOlder { found: 0, .. }), "{error}");
    migrate(&made).await.unwrap();
    let sql = "-- test::claim\nPRAGMA application_id = 7";
    made.execute(Statement::new(sql, [])).await.unwrap();
    drop(made);
    let error = Database::open(&config).await.unwrap_err();
    assert!(error.to_string().contains("belongs to another program"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_for_their_owner_only() {
    use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _};

    let folder = tempfile::tempdir().unwrap();
    // A folder that others may enter: only the mode of the files keeps them out.
    let config = DatabaseConfig::Sqlite {
        path: folder.path().join("new").join("private.db"),
    };
    let db = Database::open(&config).await.unwrap();
    migrate(&db).await.unwrap();
    let files: BTreeMap<String, u32> = std::fs::read_dir(folder.path().join("new"))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            (entry.file_name().into_string().unwrap(), mode & 0o777)
        })
        .collect();
    let expected = ["", "-shm", "-wal", ".lock"].map(|end| (format!("private.db{end}"), 0o600));
    assert_eq!(files, BTreeMap::from(expected));
}

#[tokio::test]
async fn reads_on_sqlite_cannot_write() {
    let test = sqlite_database().await;
    let sql = "-- test::write\nDELETE FROM facts WHERE name = $1 RETURNING name";
    let error = test.db.query(sql, &["x".into()]).await.unwrap_err();
    assert!(matches!(error, DbError::Rejected { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_are_replaced() {
    let test = postgres_database().await;
    let killer = Database::open(&test.config).await.unwrap();
    let mut writer = test.db.writer().await.unwrap();
    for round in 0..5 {
        let ended = killer.query(KILL_OTHERS, &[]).await.unwrap()[0].int(0).unwrap();
        assert!(ended >= 1, "{ended}");
        // Not tried again by the database layer, and not to be: nobody knows what became of it.
        let written = test.db.execute(insert_fact(&format!("free{round}"))).await;
        assert!(
            matches!(
                written,
                Ok(1) | Err(DbError::OutcomeUnknown(_) | DbError::Unavailable(_))
            ),
            "{written:?}"
        );
        test.db.query("-- test::one\nSELECT 1", &[]).await.unwrap();
        writer
            .commit(vec![insert_fact(&format!("ordered{round}"))])
            .await
            .unwrap();
    }
    let sql = "-- test::count\nSELECT count(*) FROM facts WHERE name LIKE 'ordered%'";
    assert_eq!(test.db.query(sql, &[]).await.unwrap()[0].int(0).unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_outcome_nobody_knows_is_told_apart() {
    let test = postgres_database().await;
    // A deferred trigger runs inside of COMMIT, and this one ends its own session there.
    for sql in [
        "-- test::function\nCREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS $$\n\
         BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$",
        "-- test::trigger\nCREATE CONSTRAINT TRIGGER end_session AFTER INSERT ON facts\n\
         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.name = 'end') EXECUTE FUNCTION end_session()",
    ] {
        test.db.execute(Statement::new(sql, [])).await.unwrap();
    }
    let mut writer = test.db.writer().await.unwrap();
    let error = writer.commit(vec![insert_fact("end")]).await.unwrap_err();
    assert!(matches!(error, CommitError::Unknown(_)), "{error}");
    let error = test.db.transaction(vec![insert_fact("end")]).await.unwrap_err();
    assert!(matches!(error, DbError::OutcomeUnknown(_)), "{error}");
    writer.commit(vec![insert_fact("after")]).await.unwrap();
    let names = test
        .db
        .query("-- test::names\nSELECT name FROM facts", &[])
        .await
        .unwrap();
    assert_eq!(names.len(), 1);
}

/// A process that is stopped inside of a transaction must not keep others out for ever.
#[tokio::test]
async fn a_session_that_falls_silent_in_a_transaction_is_ended() {
    let test = postgres_database().await;
    let sql = "-- test::timeout\nSELECT current_setting('idle_in_transaction_session_timeout')";
    let rows = test.db.query(sql, &[]).await.unwrap();
    assert_eq!(rows[0].text(0).unwrap(), "2s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicting_transactions_are_tried_again() {
    let test = postgres_database().await;
    let sql = "-- test::counter\nINSERT INTO leases (writer, epoch, holder, expires_ms) VALUES (7, 0, $1, 0)";
    test.db.execute(Statement::new(sql, ["x".into()])).await.unwrap();
    let add = "-- test::add\nUPDATE leases SET epoch = epoch + 1 WHERE writer = $1";
    let tasks: JoinSet<i64> = (0..8)
        .map(|_| {
            let db = test.db.clone();
            async move {
                let mut done = 0;
                for _ in 0..10 {
                    let add = Statement::new(add, [Value::Int(7)]).expecting(1);
                    match db.transaction(vec![add]).await {
                        Ok(_) => done += 1,
                        Err(error) => assert!(error.is_transient(), "{error}"),
                    }
                }
                done
            }
        })
        .collect();
    let done: i64 = tasks.join_all().await.into_iter().sum();
    assert!(done > 40, "only {done} of 80 transactions got through");
    let sql = "-- test::counted\nSELECT epoch FROM leases WHERE writer = 7";
    assert_eq!(test.db.query(sql, &[]).await.unwrap()[0].int(0).unwrap(), done);
}

#[tokio::test]
async fn an_unreachable_server_is_unavailable_and_a_wrong_url_is_unsuitable() {
    let open = async |url: &str| {
        let url = url.to_owned();
        Database::open(&DatabaseConfig::Postgres { url, pool_max: 1 })
            .await
            .unwrap_err()
    };
    let error = open("postgres://plexus@127.0.0.1:1/none").await;
    assert!(matches!(error, DbError::Unavailable(_)), "{error}");
    let error = open("nonsense").await;
    assert!(matches!(error, DbError::Unsuitable(_)), "{error}");
}

/// The HTTP server's threads have runtimes of their own, which come and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_outlives_the_runtime_that_asked_for_it() {
    let test = postgres_database().await;
    let ask = |db: Database| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let one = runtime
            .block_on(db.query("-- test::pid\nSELECT pg_backend_pid()", &[]))
            .unwrap();
        one[0].int(0).unwrap()
    };
    let mut pids = Vec::new();
    for _ in 0..2 {
        let db = test.db.clone();
        pids.push(tokio::task::spawn_blocking(move || ask(db)).await.unwrap());
    }
    assert_eq!(pids[0], pids[1]);
}

use plexus_core::ids::UserNid;
use plexus_core::row::Row;
use plexus_storage::{log::StoredFrame, profiles, users};
use plexus_testkit::{TestDatabase, databases};
use ruma::user_id;

use super::*;
use crate::{
    frames,
    testing::{W1, frame, row, tasks},
};

async fn commit(db: &Database, epoch: Epoch, rows: Vec<Row>) -> Arc<Frame> {
    let head = log::head(db, W1).await.unwrap().unwrap();
    let frame = frame(W1, epoch, head.position, rows);
    let stored = StoredFrame {
        previous: frame.previous,
        position: frame.position,
        epoch,
        created_ms: 0,
        frame: frames::encode_stored(&frame),
    };
    let statements = vec![
        log::advance_head(W1, epoch, frame.previous, frame.position),
        log::append(W1, stored),
    ];
    db.transaction(statements).await.unwrap();
    frame
}

async fn start(db: &Database) -> Replica {
    let (_, master) = watch::channel(MasterTarget::Nobody);
    let store = Store::new(db.clone());
    Replica::start(ReplicaParts {
        store,
        bus: Bus::Local,
        master,
        secret: None,
        tasks: tasks(),
    })
    .await
    .unwrap()
}

fn deadline() -> Instant {
    Instant::now() + crate::testing::PATIENCE_MAX
}

#[tokio::test]
async fn a_replica_starts_at_the_head_and_fills_from_the_log() {
    for TestDatabase { db, .. } in &databases().await {
        let empty = start(db).await;
        assert_eq!(empty.position(), Position::default());
        assert!(log::take_over(db, W1, 3).await.unwrap());
        commit(db, 3, vec![row(1), row(2)]).await;
        let replica = start(db).await;
        assert_eq!(replica.position(), Position::at(W1, 2));
        commit(db, 3, vec![row(3)]).await;
        assert!(log::take_over(db, W1, 4).await.unwrap());
        let last = commit(db, 4, vec![row(4)]).await;
        replica.receive(&last);
        for replica in [empty, replica] {
            replica.reached(&Position::at(W1, 4), deadline()).await.unwrap();
            assert_eq!(replica.readiness(), Readiness::Ready);
        }
    }
}

#[tokio::test]
async fn updates_say_when_the_log_does_not_reach_back() {
    for TestDatabase { db, .. } in &databases().await {
        assert!(log::take_over(db, W1, 1).await.unwrap());
        for user in 1..=3 {
            commit(db, 1, vec![row(user)]).await;
        }
        let all = log_updates(db, W1, 0).await.unwrap();
        assert_eq!(
            (all.frames.len(), all.too_old, all.head.unwrap().position),
            (3, false, 3)
        );
        let none = log_updates(db, W1, 3).await.unwrap();
        assert_eq!((none.frames.len(), none.too_old), (0, false));
        db.execute(log::prune(W1, 1, 2)).await.unwrap();
        assert!(log_updates(db, W1, 1).await.unwrap().too_old);
        assert!(!log_updates(db, W1, 2).await.unwrap().too_old);
        db.execute(log::prune(W1, 1, 10)).await.unwrap();
        assert!(
            log_updates(db, W1, 2).await.unwrap().too_old,
            "also when nothing is left"
        );
        assert!(!log_updates(db, W1, 3).await.unwrap().too_old);
    }
}

#[tokio::test]
async fn what_a_row_changes_is_read_anew_once_the_position_is_reached() {
    for TestDatabase { db, .. } in &databases().await {
        assert!(log::take_over(db, W1, 1).await.unwrap());
        let replica = start(db).await;
        let user = UserNid(1);
        assert!(replica.store().profile(user).await.unwrap().is_empty());
        db.execute(users::insert(user, user_id!("@a:example.org")))
            .await
            .unwrap();
        let name = serde_json::value::to_raw_value("A").unwrap();
        db.execute(profiles::upsert(user, "displayname", &name)).await.unwrap();
        commit(db, 1, vec![Row::Profile { user }]).await;
        replica.reached(&Position::at(W1, 1), deadline()).await.unwrap();
        assert_eq!(replica.store().profile(user).await.unwrap().len(), 1);
    }
}

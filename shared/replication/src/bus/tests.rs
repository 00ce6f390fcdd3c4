use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::*;
use crate::{
    MasterTarget, Publisher,
    testing::{
        Log, W1, eventually,
        master::{FakeMaster, Process, Served},
        row, tasks,
    },
};

const SECRET: &str = "correct-horse";

/// A Redis of the test's own, gone when it is dropped.
struct Redis(Child);

impl Redis {
    fn start(folder: &Path) -> Self {
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(folder.join("redis.sock"))
            .arg("--dir")
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        Self(child)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Killed, not asked: nobody is told that the connection ends.
        self.0.kill().expect("it is our child");
        self.0.wait().expect("it is our child");
    }
}

struct Deployment {
    folder: TempDir,
    master: FakeMaster,
    /// The leader's own process and its socket.
    _leader: Process,
    _served: Served,
    reader: Process,
}

impl Deployment {
    /// A leader and a reader with Redis between them; the reader's fills work, but nobody tells it that anything is missing.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bus = Bus::redis(
            &format!("unix://{}", folder.path().join("redis.sock").display()),
            "example.org",
        )
        .unwrap();
        let master = FakeMaster::default();
        let leader = Process::start(&master.0.log, MasterTarget::here(master.clone()), SECRET);
        master.0.log.take_over(W1);
        let publisher = Publisher::start(Arc::clone(&leader.reader.receiver), &bus, &tasks(), [(W1, 1, 0)]);
        master.0.publisher.set(publisher).unwrap();
        let served = Served::start(&master, SECRET);
        let reader = Process::start(&master.0.log, served.target(), SECRET);
        bus.listen(&reader.link, &tasks());
        Self {
            folder,
            master,
            _leader: leader,
            _served: served,
            reader,
        }
    }

    /// Commits and publishes, and waits until the reader has heard of it.
    async fn reader_hears(&self, rows: i64) {
        for user in 0..rows {
            let frame = self.master.0.log.commit(W1, vec![row(user)]);
            self.master.0.publisher.get().unwrap().publish(frame, || ()).await;
        }
        let head = self.master.0.log.head(W1).1;
        eventually("the reader hears", || self.reader.at() == head).await;
        assert_eq!(self.reader.reader.given(W1), self.master.0.log.rows(W1, 0));
    }

    fn subscribers(&self) -> usize {
        self.master.0.publisher.get().unwrap().subscriber_count()
    }
}

#[tokio::test]
async fn frames_come_by_redis_by_the_master_while_it_is_away_and_by_redis_again() {
    let deployment = Deployment::start();
    let redis = Redis::start(deployment.folder.path());
    deployment.reader_hears(10).await;
    eventually("redis is heard", || deployment.subscribers() == 0).await;

    drop(redis);
    deployment.reader_hears(10).await;
    assert_eq!(deployment.subscribers(), 1, "the master stands in");

    let _redis = Redis::start(deployment.folder.path());
    eventually("the reader leaves the master alone", || deployment.subscribers() == 0).await;
    deployment.reader_hears(10).await;
    assert_eq!(deployment.subscribers(), 0);
}

#[tokio::test]
async fn without_redis_other_processes_subscribe_at_the_master() {
    let master = FakeMaster::default();
    let leader = Process::start(&master.0.log, MasterTarget::here(master.clone()), SECRET);
    master.0.log.take_over(W1);
    let publisher = Publisher::start(Arc::clone(&leader.reader.receiver), &Bus::Local, &tasks(), [(W1, 1, 0)]);
    master.0.publisher.set(publisher).unwrap();
    let served = Served::start(&master, SECRET);
    let reader = Process::start(&master.0.log, served.target(), SECRET);
    Bus::Local.listen(&reader.link, &tasks());
    let frame = master.0.log.commit(W1, vec![row(1)]);
    master.0.publisher.get().unwrap().publish(frame, || ()).await;
    // The frame itself or, if that came too early, the next heartbeat.
    eventually("the reader hears", || reader.at() == 1).await;
}

#[tokio::test]
async fn frames_reach_their_own_process_first_and_in_order() {
    let log = Arc::new(Log::default());
    let process = Process::start(&log, MasterTarget::Nobody, SECRET);
    log.take_over(W1);
    let publisher = Publisher::start(
        Arc::clone(&process.reader.receiver),
        &Bus::Local,
        &tasks(),
        [(W1, 1, 0)],
    );
    let (order, mut released) = tokio::sync::mpsc::channel(50);
    for user in 1..=50 {
        let (order, receiver) = (order.clone(), Arc::clone(&process.reader.receiver));
        let then = move || order.try_send((user, receiver.position().get(W1))).unwrap();
        publisher.publish(log.commit(W1, vec![row(user)]), then).await;
    }
    for user in 1..=50 {
        assert_eq!(
            released.recv().await,
            Some((user, user)),
            "answers are released once the frame is applied"
        );
    }
    assert_eq!(log.fetched.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn servers_that_share_a_redis_do_not_share_a_channel() {
    let channel = |name: &str| format!("{:?}", Bus::redis("redis://localhost", name).unwrap());
    assert!(channel("a.example").contains("plexus:a.example:log"));
    assert!(Bus::redis("http://localhost", "a.example").is_err());
}

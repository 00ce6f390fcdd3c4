//! Named failures: each is caused on purpose, and what has to come of it is known.

use std::{fs, path::Path, time::Duration};

use http::Method;
use plexus_tests::{
    Cluster, Http, NoAnswer, PATIENCE, Shared, Solo, Timeline, Topology, User, encode, eventually, free_port, run,
};
use serde_json::json;

static SPLIT: Shared = Shared::by_turns(Topology::Split);
static FAILOVER: Shared = Shared::by_turns(Topology::Split);

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const CREATE: &str = "/_matrix/client/v3/createRoom";

/// Rooms that are being created while the master changes.
const ROOMS: usize = 30;

#[test]
fn a_room_created_across_a_failover_is_one_room() {
    FAILOVER.run(async |cluster| {
        let http = cluster.http();
        let mut users = Vec::new();
        for _ in 0..ROOMS {
            users.push(User::register(&http, "alice").await);
        }
        let leader = cluster.leader().await;
        let mut creating = tokio::task::JoinSet::new();
        for user in users {
            creating.spawn(async move {
                let body = json!({"preset": "private_chat", "name": "A room with a dozen events"});
                let room = user.create_room(&body).await;
                (user, room)
            });
        }
        // Some are done by now, some half way through the master, some have not reached it.
        let first = creating
            .join_next()
            .await
            .expect("there are many")
            .expect("it is created");
        cluster.process(&leader).kill();
        let mut created = creating.join_all().await;
        created.push(first);
        for (user, room) in created {
            let joined = user.http.get("/_matrix/client/v3/joined_rooms").await.ok();
            assert_eq!(joined["joined_rooms"], json!([room]));
            let timeline = Timeline::start(&user, &room).await;
            let creations = timeline
                .events()
                .iter()
                .filter(|event| event["type"] == "m.room.create");
            assert!(creations.count() <= 1, "{:?}", timeline.events());
        }
        cluster.process(&leader).start_again();
        cluster.until_ready().await;
    });
}

#[test]
fn a_logout_that_redis_does_not_carry_is_heard_all_the_same() {
    SPLIT.run(async |cluster| {
        let redis = cluster.redis().expect("the split topology has one");
        let user = User::register(&cluster.http(), "alice").await;
        let others = ["reader1", "reader2", "sync1", "sync2"];
        for name in others {
            user.at(&cluster.direct(name)).http.get(WHOAMI).await.ok();
        }
        redis.cut();
        user.at(&cluster.direct("reader1"))
            .http
            .post("/_matrix/client/v3/logout", &json!({}))
            .await
            .ok();
        for name in others {
            // Within seconds every process has noticed that Redis is silent, and listens to the master instead.
            let here = user.at(&cluster.direct(name));
            let refused = async || {
                let answer = here.http.get(WHOAMI).await;
                if answer.status == 401 {
                    Ok(answer)
                } else {
                    Err(answer.text())
                }
            };
            eventually(Duration::from_secs(5), &format!("{name} to hear of it"), refused)
                .await
                .expect_error(401, "M_UNKNOWN_TOKEN");
        }
        redis.restore();
    });
}

#[test]
fn a_process_that_is_gone_but_still_registered_costs_nobody_an_answer() {
    SPLIT.run(async |cluster| {
        cluster.process("sync2").kill();
        for _ in 0..20 {
            // Pinned by their tokens: about half of them belong to the dead process.
            let user = User::register(&cluster.direct("reader1"), "alice").await;
            user.sync(None, 0, "").await.ok();
        }
        cluster.process("sync2").start_again();
        cluster.until_ready().await;
    });
}

#[test]
fn a_forwarded_request_is_never_forwarded_again() {
    SPLIT.run(async |cluster| {
        let user = User::register(&cluster.http(), "alice").await;
        let inside = user.at(&cluster.internal("sync1")).http;
        // As a process with a stale registry would send it.
        let trusted = inside.with_header("x-plexus-secret", cluster.internal_secret());
        let answer = trusted.post(CREATE, &json!({})).await;
        assert_eq!(answer.status, 503, "{}", answer.text());
        trusted.get("/_matrix/client/v3/sync?timeout=0").await.ok();
        // As anybody else might.
        for http in [inside.clone(), inside.with_header("x-plexus-secret", "guessed")] {
            http.get("/_matrix/client/v3/sync?timeout=0")
                .await
                .expect_error(403, "M_FORBIDDEN");
        }
        // The header means nothing from outside, and does not stop a request from being forwarded.
        let outside = user.at(&cluster.direct("sync1")).http;
        outside
            .with_header("x-plexus-secret", cluster.internal_secret())
            .post(CREATE, &json!({}))
            .await
            .ok();
        outside
            .with_header("x-plexus-request-id", "chosen")
            .post(CREATE, &json!({}))
            .await
            .ok();
    });
}

#[test]
fn a_hundred_megabytes_to_forward_are_refused_in_constant_memory() {
    const LARGE: usize = 100 << 20;
    const GROWTH_MAX: u64 = 32 << 20;
    SPLIT.run(async |cluster| {
        let user = User::register(&cluster.http(), "alice").await;
        let room = user.create_public_room().await;
        let here = user.at(&cluster.direct("sync1"));
        here.say(&room, "warm").await;
        let before = [cluster.process("sync1"), cluster.process("reader1")].map(plexus_tests::Process::memory_bytes);
        let target = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/large", encode(&room));
        match here.http.try_send(Method::PUT, &target, vec![b' '; LARGE]).await {
            Ok(answer) => answer.expect_error(413, "M_TOO_LARGE"),
            // The server may close the connection before everything is sent.
            Err(NoAnswer(why)) => assert!(!why.contains("in time"), "{why}"),
        }
        let after = [cluster.process("sync1"), cluster.process("reader1")].map(plexus_tests::Process::memory_bytes);
        for (before, after) in before.into_iter().zip(after) {
            assert!(after < before + GROWTH_MAX, "{before} bytes became {after}");
        }
        here.say(&room, "and it goes on").await;
    });
}

#[test]
fn an_older_backup_gives_nobody_an_error_or_hides_what_is_new() {
    let here = tempfile::tempdir().expect("a temporary folder can be made");
    let port = free_port();
    let address = format!("listen.address=127.0.0.1:{port}");
    run(async {
        let server = Solo::start(here.path(), &["serve", "--set", &address]);
        let http = Http::new(&format!("http://127.0.0.1:{port}"));
        server.until_answers(&http).await;
        let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
        let room = alice.create_public_room().await;
        bob.join(&room).await;
        let kept = alice.say(&room, "in the backup").await;
        let data = here.path().join("plexus-data");
        let backup = here.path().join("backup");
        assert!(server.process().stop().await.success(), "{}", server.process().output());
        copy_folder(&data, &backup);
        server.process().start_again();
        server.until_answers(&http).await;
        for line in 0..10 {
            alice.say(&room, &format!("lost {line}")).await;
        }
        let ahead = bob.sync(None, 0, "").await.ok()["next_batch"]
            .as_str()
            .expect("a token")
            .to_owned();
        assert!(server.process().stop().await.success(), "{}", server.process().output());
        fs::remove_dir_all(&data).expect("it is closed");
        copy_folder(&backup, &data);
        server.process().start_again();
        server.until_answers(&http).await;
        // Bob's client is ahead of the log. It is told what comes, from where the log stands now.
        let answer = bob.sync(Some(&ahead), 0, "").await.ok();
        let since = answer["next_batch"].as_str().expect("a token").to_owned();
        let fresh = alice.say(&room, "after the restore").await;
        let answer = bob.sync(Some(&since), 10_000, "").await.ok();
        let events = &answer["rooms"]["join"][&room]["timeline"]["events"];
        assert_eq!(events[0]["event_id"], fresh.as_str(), "{answer}");
        let timeline = Timeline::start(&bob, &room).await;
        assert_eq!(timeline.message_ids(), [kept, fresh]);
    });
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder can be written to");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("the folder can be read");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a file can be copied");
    }
}

/// A server without its master still answers what does not change anything, and changes wait for the next one.
#[test]
fn without_a_master_reads_go_on_and_writes_wait() {
    FAILOVER.run(async |cluster| {
        let user = User::register(&cluster.http(), "alice").await;
        let room = user.create_public_room().await;
        let said = user.say(&room, "before").await;
        let since = user.sync(None, 0, "").await.ok()["next_batch"]
            .as_str()
            .expect("a token")
            .to_owned();
        for name in ["master1", "master2"] {
            cluster.process(name).kill();
        }
        for name in ["reader1", "reader2", "sync1", "sync2"] {
            cluster.until_process_ready(name).await;
        }
        let event = format!("/_matrix/client/v3/rooms/{}/event/{}", encode(&room), encode(&said));
        user.http.get(&event).await.ok();
        user.http.get(WHOAMI).await.ok();
        user.sync(Some(&since), 0, "").await.ok();
        let later = async {
            let waiting = user.put_message(&room, "across", "while nobody leads").await;
            let answer = waiting.expect("the reader is there");
            if answer.is_retryable() {
                user.say(&room, "again").await
            } else {
                said_id(&answer.ok())
            }
        };
        let starting = async {
            cluster.process("master2").start_again();
            cluster.leader().await
        };
        let (later, _) = tokio::join!(later, starting);
        let timeline = Timeline::start(&user, &room).await;
        assert!(
            timeline.message_ids().contains(&later.as_str()),
            "{:?}",
            timeline.bodies()
        );
        cluster.process("master1").start_again();
        cluster.until_ready().await;
    });
}

fn said_id(answer: &serde_json::Value) -> String {
    answer["event_id"]
        .as_str()
        .expect("a send gives an event id")
        .to_owned()
}

/// Every process tells how it is, however much happens to others.
#[test]
fn a_kill_leaves_no_process_unready() {
    FAILOVER.run(async |cluster| {
        let leader = cluster.leader().await;
        cluster.process(&leader).kill();
        until_another_leads(&cluster, &leader).await;
        for name in cluster.names().into_iter().filter(|name| *name != leader) {
            let answer = cluster.internal(name).get("/ready").await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        }
        cluster.process(&leader).start_again();
        cluster.until_ready().await;
    });
}

async fn until_another_leads(cluster: &Cluster, old: &str) {
    let next = if old == "master1" { "master2" } else { "master1" };
    let http = cluster.internal(next);
    eventually(PATIENCE, &format!("{next} to lead"), async || {
        let pulse = http.get("/ready").await;
        if pulse.json()["leading"] == true {
            Ok(())
        } else {
            Err(pulse.text())
        }
    })
    .await;
}

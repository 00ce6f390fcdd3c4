//! Purging histories.

use std::sync::Arc;

use plexus_tests::{Cluster, Http, PATIENCE, Topology, User, encode, eventually, fresh_name, run_plexus};
use serde_json::{Value, json};

use super::{ADMIN, CLIENT, next_batch, room_path};
use crate::{accounts::administrator, history::bodies};

/// Purges what was before an event, and waits until that is done.
async fn purge(admin: &User, room: &str, event: &str, body: &Value) {
    let target = format!("{ADMIN}/v1/purge_history/{}/{}", encode(room), encode(event));
    let begun = admin.http.post(&target, body).await.ok();
    purged(admin, &begun).await;
}

async fn purged(admin: &User, begun: &Value) {
    let id = begun["purge_id"].as_str().expect("a purge has a name");
    let target = format!("{ADMIN}/v1/purge_history_status/{id}");
    eventually(PATIENCE, "a purge to end", async || {
        let status = admin.http.get(&target).await.ok();
        match status["status"].as_str() {
            Some("complete") => Ok(()),
            Some("active") => Err(status.to_string()),
            _ => panic!("{status}"),
        }
    })
    .await;
}

async fn say_all(user: &User, room: &str, texts: &[&str]) -> Vec<String> {
    let mut said = Vec::new();
    for text in texts {
        said.push(user.say(room, text).await);
    }
    said
}

pub(super) async fn a_purged_history_is_gone_for_everybody(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let admin = administrator(&cluster).await;
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice
        .create_room(&json!({"preset": "public_chat", "name": "Attic"}))
        .await;
    bob.join(&room).await;
    let word = fresh_name("wardrobe").replace('-', "");
    let said = say_all(&alice, &room, &[&format!("old {word}"), "older", "old", "point", "new"]).await;
    let before = bob.messages(&room, "b", "&limit=2").await.ok();
    let page = before["end"].as_str().expect("there is more").to_owned();
    let receipt = room_path(&room, &format!("receipt/m.read/{}", encode(&said[1])));
    bob.http.post(&receipt, &json!({})).await.ok();
    purge(&admin, &room, &said[3], &json!({"delete_local_events": true})).await;

    for user in [&alice, &bob] {
        let all = user.messages(&room, "b", "&limit=100").await.ok();
        assert_eq!(bodies(&all["chunk"]), ["new", "point"], "{all}");
        assert!(all.get("end").is_none(), "{all}");
        // A token from before leads to nothing more, and not to an error.
        let rest = user
            .messages(&room, "b", &format!("&from={}", encode(&page)))
            .await
            .ok();
        assert_eq!(rest["chunk"], json!([]), "{rest}");
        for gone in &said[..3] {
            let event = user
                .http
                .get(&room_path(&room, &format!("event/{}", encode(gone))))
                .await;
            event.expect_error(404, "M_NOT_FOUND");
        }
        let kept = user
            .http
            .get(&room_path(&room, &format!("event/{}", encode(&said[3]))))
            .await;
        assert_eq!(kept.ok()["content"]["body"], "point");
    }
    // The state is whole, and each of its events can be read.
    let state = bob.http.get(&room_path(&room, "state")).await.ok();
    let state = state.as_array().expect("a list");
    assert!(
        state.iter().any(|event| event["content"]["name"] == "Attic"),
        "{state:?}"
    );
    for event in state {
        let id = event["event_id"].as_str().expect("an id");
        bob.http
            .get(&room_path(&room, &format!("event/{}", encode(id))))
            .await
            .ok();
    }
    let members = bob.http.get(&room_path(&room, "members")).await.ok();
    assert_eq!(members["chunk"].as_array().map(Vec::len), Some(2), "{members}");
    purge_is_felt_everywhere(&http, (&alice, &bob), &room, &word, &said).await;
    // An embedded database has one user at a time.
    if cluster.topology == Topology::Split {
        let folder = cluster.folder().to_owned();
        let verify = move || run_plexus(&folder, &["room", "verify", "--config", "plexus.toml", &room]);
        let verified = tokio::task::spawn_blocking(verify).await.expect("it runs");
        assert!(verified.status.success(), "{verified:?}");
        let said = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert!(said.ends_with(" 0 disagreements, 0 rows written\n"), "{said}");
    }
}

/// A newcomer, what is found, what is unread, and that the room goes on.
async fn purge_is_felt_everywhere(http: &Http, (alice, bob): (&User, &User), room: &str, word: &str, said: &[String]) {
    let carol = User::register(http, "carol").await;
    carol.join(room).await;
    let whole = carol.sync(None, 0, "").await.ok();
    assert_eq!(
        bodies(&whole["rooms"]["join"][room]["timeline"]["events"])[..2],
        ["point", "new"]
    );
    let wanted = json!({"search_categories": {"room_events": {"search_term": word}}});
    eventually(PATIENCE, "what was purged not to be found", async || {
        let found = bob.http.post(&format!("{CLIENT}/search"), &wanted).await.ok();
        let count = found["search_categories"]["room_events"]["count"].as_u64();
        if count == Some(0) {
            Ok(())
        } else {
            Err(found.to_string())
        }
    })
    .await;
    let again = bob.sync(None, 0, "").await.ok();
    let unread = &again["rooms"]["join"][room]["unread_notifications"]["notification_count"];
    assert!(unread.as_u64().is_some_and(|unread| unread <= 2), "{unread}");
    // The room goes on.
    let last = alice.say(room, "after").await;
    let receipt = room_path(room, &format!("receipt/m.read/{}", encode(&last)));
    bob.http.post(&receipt, &json!({})).await.ok();
    let redact = room_path(room, &format!("redact/{}/{}", encode(&said[4]), fresh_name("txn")));
    alice.http.put(&redact, &json!({})).await.ok();
}

pub(super) async fn a_device_that_was_away_during_a_purge_begins_anew(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let admin = administrator(&cluster).await;
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice
        .create_room(&json!({"preset": "public_chat", "topic": "first"}))
        .await;
    bob.join(&room).await;
    let told = next_batch(&bob.sync(None, 0, "").await.ok());
    let topic = room_path(&room, "state/m.room.topic");
    alice.http.put(&topic, &json!({"topic": "second"})).await.ok();
    let said = say_all(&alice, &room, &["1", "2", "3", "4"]).await;
    let halfway = next_batch(&alice.sync(None, 0, "").await.ok());
    let last = alice.say(&room, "5").await;
    purge(&admin, &room, &said[2], &json!({"delete_local_events": true})).await;
    for cluster_http in [http.clone(), cluster.wrong_http()] {
        let bob = bob.at(&cluster_http);
        let news = bob.sync(Some(&told), 0, "").await.ok();
        let news = &news["rooms"]["join"][&room];
        assert_eq!(bodies(&news["timeline"]["events"]), ["3", "4", "5"], "{news}");
        assert_eq!(news["timeline"]["limited"], true, "{news}");
        let state = news["state"]["events"].as_array().expect("a list");
        assert!(
            state.iter().any(|event| event["content"]["topic"] == "second"),
            "{news}"
        );
        let start = news["timeline"]["prev_batch"].as_str().expect("a token");
        let older = bob.messages(&room, "b", &format!("&from={}", encode(start))).await.ok();
        assert_eq!(older["chunk"], json!([]), "{older}");
    }
    // Who was told of what stays has missed nothing.
    let news = alice.sync(Some(&halfway), 0, "").await.ok();
    let news = &news["rooms"]["join"][&room];
    assert_eq!(news["timeline"]["limited"], false, "{news}");
    assert_eq!(news["timeline"]["events"][0]["event_id"], last.as_str(), "{news}");
    assert_eq!(news["state"]["events"], json!([]), "{news}");
}

pub(super) async fn a_history_is_purged_up_to_a_time(cluster: Arc<Cluster>) {
    let admin = administrator(&cluster).await;
    let alice = User::register(&cluster.http(), "alice").await;
    let room = alice.create_public_room().await;
    let said = say_all(&alice, &room, &["1", "2", "3"]).await;
    let time = async |event: &str| {
        let event = alice
            .http
            .get(&room_path(&room, &format!("event/{}", encode(event))))
            .await
            .ok();
        event["origin_server_ts"].as_u64().expect("a time")
    };
    // Two events may have been sent in the same millisecond: then neither goes.
    let (second, third) = (time(&said[1]).await, time(&said[2]).await);
    let target = format!("{ADMIN}/v1/purge_history/{}", encode(&room));
    let body = json!({"purge_up_to_ts": third, "delete_local_events": true});
    let begun = admin.http.post(&target, &body).await.ok();
    purged(&admin, &begun).await;
    let left = alice.messages(&room, "f", "").await.ok();
    let left = bodies(&left["chunk"]);
    assert!(left.contains(&"3"), "{left:?}");
    if second < third {
        assert_eq!(left, ["2", "3"]);
    }
    let early = json!({"purge_up_to_ts": 1, "delete_local_events": true});
    admin.http.post(&target, &early).await.expect_error(404, "M_NOT_FOUND");
    admin
        .http
        .post(&target, &json!({}))
        .await
        .expect_error(400, "M_BAD_JSON");
}

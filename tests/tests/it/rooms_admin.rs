//! What administrators do to rooms: purge their histories, delete them, block them. Seen by those who were in them.

use std::sync::Arc;

use http::Method;
use plexus_tests::{Cluster, Http, PATIENCE, User, encode, eventually, fresh_name};
use serde_json::{Value, json};

use super::{accounts::administrator, history::bodies};

super::scenarios! {
    a_purged_history_is_gone_for_everybody,
    a_device_that_was_away_during_a_purge_begins_anew,
    a_history_is_purged_up_to_a_time,
    a_deleted_room_is_gone_and_its_members_learn_that_they_left,
    members_are_moved_out_of_a_room_that_is_shut_down,
    a_blocked_room_lets_nobody_in,
    only_administrators_purge_and_delete,
}

const ADMIN: &str = "/_synapse/admin";
const CLIENT: &str = "/_matrix/client/v3";

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

/// Deletes a room, and waits until that is done; what was told of it in the end.
async fn delete(admin: &User, room: &str, body: &Value) -> Value {
    let target = format!("{ADMIN}/v2/rooms/{}", encode(room));
    let begun = admin.http.send(Method::DELETE, &target, body.to_string()).await.ok();
    let id = begun["delete_id"].as_str().expect("a deletion has a name");
    let target = format!("{ADMIN}/v2/rooms/delete_status/{id}");
    eventually(PATIENCE, "a deletion to end", async || {
        let status = admin.http.get(&target).await.ok();
        match status["status"].as_str() {
            Some("complete") => Ok(status),
            Some("active") => Err(status.to_string()),
            _ => panic!("{status}"),
        }
    })
    .await
}

fn room_path(room: &str, rest: &str) -> String {
    format!("{CLIENT}/rooms/{}/{rest}", encode(room))
}

async fn say_all(user: &User, room: &str, texts: &[&str]) -> Vec<String> {
    let mut said = Vec::new();
    for text in texts {
        said.push(user.say(room, text).await);
    }
    said
}

fn next_batch(answer: &Value) -> String {
    answer["next_batch"].as_str().expect("a token").to_owned()
}

async fn a_purged_history_is_gone_for_everybody(cluster: Arc<Cluster>) {
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
    // A newcomer, what is found, and what is unread.
    let carol = User::register(&http, "carol").await;
    carol.join(&room).await;
    let whole = carol.sync(None, 0, "").await.ok();
    assert_eq!(
        bodies(&whole["rooms"]["join"][&room]["timeline"]["events"])[..2],
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
    let unread = &again["rooms"]["join"][&room]["unread_notifications"]["notification_count"];
    assert!(unread.as_u64().is_some_and(|unread| unread <= 2), "{unread}");
    // The room goes on.
    let last = alice.say(&room, "after").await;
    let receipt = room_path(&room, &format!("receipt/m.read/{}", encode(&last)));
    bob.http.post(&receipt, &json!({})).await.ok();
    let redact = room_path(&room, &format!("redact/{}/{}", encode(&said[4]), fresh_name("txn")));
    alice.http.put(&redact, &json!({})).await.ok();
}

async fn a_device_that_was_away_during_a_purge_begins_anew(cluster: Arc<Cluster>) {
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

async fn a_history_is_purged_up_to_a_time(cluster: Arc<Cluster>) {
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

async fn a_deleted_room_is_gone_and_its_members_learn_that_they_left(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let admin = administrator(&cluster).await;
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let alias = fresh_name("attic");
    let room = alice
        .create_room(&json!({"preset": "public_chat", "visibility": "public", "room_alias_name": alias, "name": alias}))
        .await;
    bob.join(&room).await;
    let said = alice.say(&room, "hello").await;
    let page = alice.messages(&room, "b", "&limit=1").await.ok();
    let page = page["end"].as_str().expect("there is more").to_owned();
    let tag = format!("{CLIENT}/user/{}/rooms/{}/tags/u.work", encode(&bob.id), encode(&room));
    bob.http.put(&tag, &json!({"order": 0.5})).await.ok();
    let told = next_batch(&bob.sync(None, 0, "").await.ok());
    let waiting = {
        let (bob, told) = (bob.clone(), told.clone());
        tokio::spawn(async move { bob.sync(Some(&told), 30_000, "").await.ok() })
    };
    let done = delete(&admin, &room, &json!({})).await;
    let mut kicked: Vec<&str> = done["shutdown_room"]["kicked_users"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    kicked.sort_unstable();
    let mut members = [alice.id.as_str(), bob.id.as_str()];
    members.sort_unstable();
    assert_eq!(kicked, members, "{done}");
    let of_room = format!("{ADMIN}/v2/rooms/{}/delete_status", encode(&room));
    assert_eq!(admin.http.get(&of_room).await.ok()["results"][0]["status"], "complete");

    // Who waits is told, and so is who comes later.
    let news = waiting.await.expect("the sync is answered");
    assert!(news["rooms"]["leave"].get(&room).is_some(), "{news}");
    let later = bob.sync(Some(&told), 0, "").await.ok();
    assert!(later["rooms"]["leave"].get(&room).is_some(), "{later}");
    let again = bob.sync(Some(&next_batch(&later)), 0, "").await.ok();
    assert!(again["rooms"]["leave"].get(&room).is_none(), "{again}");
    let filter = encode(&json!({"room": {"include_leave": true}}).to_string());
    for query in [String::new(), format!("&filter={filter}")] {
        let whole = bob.sync(None, 0, &query).await.ok();
        assert!(!whole["rooms"].to_string().contains(&room), "{whole}");
    }
    // Nobody finds it by any way.
    for user in [&alice, &bob] {
        for target in [
            room_path(&room, "state"),
            room_path(&room, "members"),
            room_path(&room, "messages?dir=b"),
            room_path(&room, &format!("messages?dir=b&from={}", encode(&page))),
            room_path(&room, &format!("context/{}", encode(&said))),
        ] {
            user.http.get(&target).await.expect_error(403, "M_FORBIDDEN");
        }
        let event = user
            .http
            .get(&room_path(&room, &format!("event/{}", encode(&said))))
            .await;
        event.expect_error(404, "M_NOT_FOUND");
        let rooms = user.http.get(&format!("{CLIENT}/joined_rooms")).await.ok();
        assert_eq!(rooms["joined_rooms"], json!([]));
        let said = user
            .put_message(&room, &fresh_name("txn"), "anybody?")
            .await
            .expect("an answer");
        said.expect_error(403, "M_FORBIDDEN");
        user.act(&room, "join", &json!({}))
            .await
            .expect_error(403, "M_FORBIDDEN");
    }
    let server = alice.id.split_once(':').expect("a server").1;
    let alias_path = format!("{CLIENT}/directory/room/{}", encode(&format!("#{alias}:{server}")));
    alice.http.get(&alias_path).await.expect_error(404, "M_NOT_FOUND");
    let listed = json!({"filter": {"generic_search_term": alias}});
    let listed = alice.http.post(&format!("{CLIENT}/publicRooms"), &listed).await.ok();
    assert_eq!(listed["chunk"], json!([]), "{listed}");
    // The alias is free, and the users go on.
    let other = alice
        .create_room(&json!({"preset": "public_chat", "room_alias_name": alias}))
        .await;
    bob.join(&other).await;
    let news = bob.sync(Some(&told), 0, "").await.ok();
    assert!(news["rooms"]["join"].get(&other).is_some(), "{news}");
}

async fn members_are_moved_out_of_a_room_that_is_shut_down(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let admin = administrator(&cluster).await;
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let alias = fresh_name("cellar");
    let room = alice
        .create_room(&json!({"preset": "public_chat", "room_alias_name": alias}))
        .await;
    bob.join(&room).await;
    let target = format!("{ADMIN}/v1/shutdown_room/{}", encode(&room));
    let body = json!({"new_room_user_id": admin.id, "room_name": "Notice", "message": "This room is closed"});
    let done = admin.http.post(&target, &body).await.ok();
    let new = done["new_room_id"].as_str().expect("a room").to_owned();
    assert_eq!(done["kicked_users"].as_array().map(Vec::len), Some(2), "{done}");
    assert_eq!(done["local_aliases"].as_array().map(Vec::len), Some(1), "{done}");
    for user in [&alice, &bob] {
        eventually(PATIENCE, "the members to be in the new room", async || {
            let rooms = user.http.get(&format!("{CLIENT}/joined_rooms")).await.ok();
            if rooms["joined_rooms"] == json!([new]) {
                Ok(())
            } else {
                Err(rooms.to_string())
            }
        })
        .await;
        let said = user.messages(&new, "b", "").await.ok();
        assert!(bodies(&said["chunk"]).contains(&"This room is closed"), "{said}");
        let refused = user
            .put_message(&new, &fresh_name("txn"), "why?")
            .await
            .expect("an answer");
        refused.expect_error(403, "M_FORBIDDEN");
        let refused = user.act(&room, "join", &json!({})).await;
        refused.expect_error(403, "M_FORBIDDEN");
    }
    let server = alice.id.split_once(':').expect("a server").1;
    let alias_path = format!("{CLIENT}/directory/room/{}", encode(&format!("#{alias}:{server}")));
    assert_eq!(alice.http.get(&alias_path).await.ok()["room_id"], new.as_str());
    admin
        .http
        .post(&target, &json!({}))
        .await
        .expect_error(400, "M_MISSING_PARAM");
    let nobody = json!({"new_room_user_id": format!("@{}:{server}", fresh_name("nobody"))});
    admin
        .http
        .post(&target, &nobody)
        .await
        .expect_error(400, "M_INVALID_PARAM");
}

async fn a_blocked_room_lets_nobody_in(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let admin = administrator(&cluster).await;
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice.create_public_room().await;
    let target = format!("{ADMIN}/v1/rooms/{}/block", encode(&room));
    assert_eq!(admin.http.get(&target).await.ok(), json!({"block": false}));
    assert_eq!(
        admin.http.put(&target, &json!({"block": true})).await.ok(),
        json!({"block": true})
    );
    assert_eq!(
        admin.http.get(&target).await.ok(),
        json!({"block": true, "user_id": admin.id})
    );
    bob.act(&room, "join", &json!({}))
        .await
        .expect_error(403, "M_FORBIDDEN");
    let invited = alice.act(&room, "invite", &json!({"user_id": bob.id})).await;
    invited.expect_error(403, "M_FORBIDDEN");
    // Those who are in it stay, and may leave.
    alice.say(&room, "still here").await;
    admin.http.put(&target, &json!({"block": false})).await.ok();
    bob.join(&room).await;
    // One that is not known here can be blocked too.
    let unknown = format!("{ADMIN}/v1/rooms/{}/block", encode("!nowhere:elsewhere.example"));
    admin.http.put(&unknown, &json!({"block": true})).await.ok();
    assert_eq!(admin.http.get(&unknown).await.ok()["block"], true);
}

async fn only_administrators_purge_and_delete(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let admin = administrator(&cluster).await;
    let alice = User::register(&http, "alice").await;
    let room = alice.create_public_room().await;
    let said = alice.say(&room, "hello").await;
    let at = |http: &Http, method: Method, target: String| {
        let http = http.clone();
        async move { http.send(method, &target, "{}").await }
    };
    let encoded = encode(&room);
    for (method, target) in [
        (
            Method::POST,
            format!("{ADMIN}/v1/purge_history/{encoded}/{}", encode(&said)),
        ),
        (Method::GET, format!("{ADMIN}/v1/purge_history_status/x")),
        (Method::DELETE, format!("{ADMIN}/v2/rooms/{encoded}")),
        (Method::DELETE, format!("{ADMIN}/v1/rooms/{encoded}")),
        (Method::GET, format!("{ADMIN}/v2/rooms/{encoded}/delete_status")),
        (Method::GET, format!("{ADMIN}/v2/rooms/delete_status/x")),
        (Method::GET, format!("{ADMIN}/v1/rooms/{encoded}/block")),
    ] {
        let refused = at(&alice.http, method.clone(), target.clone()).await;
        refused.expect_error(403, "M_FORBIDDEN");
        at(&http, method, target).await.expect_error(401, "M_MISSING_TOKEN");
    }
    let unknown = encode("!nowhere:elsewhere.example");
    for (method, target) in [
        (
            Method::POST,
            format!("{ADMIN}/v1/purge_history/{unknown}/{}", encode(&said)),
        ),
        (
            Method::POST,
            format!("{ADMIN}/v1/purge_history/{encoded}/{}", encode("$nowhere")),
        ),
        (Method::GET, format!("{ADMIN}/v1/purge_history_status/x")),
        (Method::DELETE, format!("{ADMIN}/v2/rooms/{unknown}")),
        (Method::GET, format!("{ADMIN}/v2/rooms/{encoded}/delete_status")),
        (Method::GET, format!("{ADMIN}/v2/rooms/delete_status/x")),
    ] {
        let refused = at(&admin.http, method, target).await;
        refused.expect_error(404, "M_NOT_FOUND");
    }
    assert_eq!(
        bodies(&alice.messages(&room, "b", "&limit=1").await.ok()["chunk"]),
        ["hello"]
    );
}

//! Pages of a room's history.

use std::sync::Arc;

use plexus_tests::{Cluster, User, encode};
use serde_json::json;

use super::{Home, bodies};

pub(super) async fn pages_are_filtered(cluster: Arc<Cluster>) {
    let home = Home::new(&cluster).await;
    let bob = User::register(&cluster.http(), "bob").await;
    bob.join(&home.room).await;
    home.user.say(&home.room, "one").await;
    bob.say(&home.room, "two").await;
    let picture = json!({"msgtype": "m.image", "body": "three", "url": "mxc://localhost/x"});
    home.send(&bob, "m.room.message", &picture).await;
    let of_bob = json!({"senders": [bob.id], "types": ["m.room.message"]});
    assert_eq!(bodies(&home.filtered(&of_bob).await["chunk"]), ["three", "two"]);
    let not_bob = json!({"not_senders": [bob.id], "types": ["m.room.m*"], "not_types": ["m.room.member"]});
    assert_eq!(bodies(&home.filtered(&not_bob).await["chunk"]), ["one"]);
    let urls = json!({"contains_url": true});
    assert_eq!(bodies(&home.filtered(&urls).await["chunk"]), ["three"]);
    let elsewhere = home.filtered(&json!({"not_rooms": [home.room]})).await;
    assert_eq!(elsewhere["chunk"], json!([]));
    // Lazy members: those who said something on the page, and no others.
    let lazy = json!({"lazy_load_members": true, "types": ["m.room.message"], "senders": [bob.id]});
    let page = home.filtered(&lazy).await;
    let members = page["state"].as_array().expect("a state");
    assert_eq!(members.len(), 1, "{page}");
    assert_eq!(members[0]["state_key"], bob.id.as_str());
    let fields = home
        .filtered(&json!({"types": ["m.room.message"], "event_fields": ["content.body"]}))
        .await;
    assert_eq!(fields["chunk"][0], json!({"content": {"body": "three"}}));
    // The page after the last is no error, and what is asked for nonsensically is one.
    let first = home.page("dir=b&limit=2").await;
    let end = first["end"].as_str().expect("there is more");
    assert_eq!(bodies(&first["chunk"]), ["three", "two"]);
    let second = home.page(&format!("dir=b&limit=1&from={}", encode(end))).await;
    assert_eq!(second["start"], end);
    assert_eq!(bodies(&second["chunk"]), ["one"]);
    let between = home.page(&format!("dir=f&limit=50&from={}", encode(end))).await;
    assert_eq!(bodies(&between["chunk"]), ["two", "three"]);
    assert!(between["end"].is_null());
    let none = home.page(&format!("dir=b&from={0}&to={0}", encode(end))).await;
    assert_eq!(none["chunk"], json!([]));
    for (query, errcode) in [
        ("", "M_MISSING_PARAM"),
        ("dir=x", "M_INVALID_PARAM"),
        ("dir=b&limit=-1", "M_INVALID_PARAM"),
        ("dir=b&limit=x", "M_INVALID_PARAM"),
        ("dir=b&from=x", "M_INVALID_PARAM"),
        ("dir=b&filter=%7B", "M_INVALID_PARAM"),
    ] {
        home.get(&format!("messages?{query}")).await.expect_error(400, errcode);
    }
}

pub(super) async fn seed_5293_a_page_in_the_format_of_servers(cluster: Arc<Cluster>) {
    let home = Home::new(&cluster).await;
    home.user.say(&home.room, "one").await;
    let page = home
        .filtered(&json!({"event_format": "federation", "types": ["m.room.message"]}))
        .await;
    let event = &page["chunk"][0];
    for field in [
        "event_id",
        "auth_events",
        "prev_events",
        "depth",
        "hashes",
        "signatures",
        "origin_server_ts",
        "room_id",
        "sender",
    ] {
        assert!(!event[field].is_null(), "no {field} in {event}");
    }
    assert_eq!(event["content"]["body"], "one");
}

pub(super) async fn seed_5221_a_page_without_events_is_empty(cluster: Arc<Cluster>) {
    let home = Home::new(&cluster).await;
    let early = home.page("dir=b&limit=50").await;
    let oldest = early["chunk"]
        .as_array()
        .and_then(|chunk| chunk.last().cloned())
        .expect("events");
    assert_eq!(oldest["type"], "m.room.create");
    // Before the first event, after the last one, and with no room for any.
    let last = home.page("dir=b&limit=1").await;
    let context = home
        .get(&format!(
            "context/{}?limit=0",
            encode(oldest["event_id"].as_str().expect("an id"))
        ))
        .await
        .ok();
    let before_all = encode(context["start"].as_str().expect("a token"));
    let before = home.page(&format!("dir=b&from={before_all}")).await;
    let after = home
        .page(&format!(
            "dir=f&from={}",
            encode(last["start"].as_str().expect("a token"))
        ))
        .await;
    for page in [before, after, home.page("dir=b&limit=0").await] {
        assert_eq!(page["chunk"], json!([]), "{page}");
    }
}

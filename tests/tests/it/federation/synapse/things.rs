//! What users have: names, devices, keys, files, rooms that are listed.

use std::sync::Arc;

use plexus_tests::{Cluster, PATIENCE, User, encode, eventually, fresh_name};
use serde_json::{Value, json};

use super::{both_ways, events, place, together, until_told, upload_keys};
use crate::federation::joining::join_via;

crate::federated_scenarios! {
    profiles_are_seen,
    aliases_lead_to_rooms,
    listed_rooms_are_found,
    keys_are_found_and_taken,
    new_devices_are_told_of,
    messages_reach_devices,
    files_are_fetched,
}

async fn profiles_are_seen(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let alice = User::register(&sides[0].http, "alice").await;
        let bob = User::register(&sides[1].http, "bob").await;
        let name = format!("Bob of {}", sides[1].name);
        let profile = format!("/_matrix/client/v3/profile/{}", encode(&bob.id));
        let wanted = json!({"displayname": name});
        bob.http.put(&format!("{profile}/displayname"), &wanted).await.ok();
        assert_eq!(alice.http.get(&profile).await.ok()["displayname"], name.as_str());
    }
}

async fn aliases_lead_to_rooms(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let alice = User::register(&sides[0].http, "alice").await;
        let bob = User::register(&sides[1].http, "bob").await;
        let localpart = fresh_name("alias");
        let create = json!({"preset": "public_chat", "room_alias_name": localpart});
        let room = alice.create_room(&create).await;
        let alias = format!("#{localpart}:{}", sides[0].name);
        let found = bob
            .http
            .get(&format!("/_matrix/client/v3/directory/room/{}", encode(&alias)))
            .await
            .ok();
        assert_eq!(found["room_id"], room.as_str());
        assert_eq!(found["servers"], json!([sides[0].name]));
        let joined = bob
            .http
            .post(&format!("/_matrix/client/v3/join/{}", encode(&alias)), &json!({}))
            .await;
        assert_eq!(joined.ok()["room_id"], room.as_str());
        let unknown = format!(
            "/_matrix/client/v3/directory/room/{}",
            encode(&format!("#no{alias}")[..])
        );
        bob.http.get(&unknown).await.expect_error(404, "M_NOT_FOUND");
    }
}

async fn listed_rooms_are_found(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let alice = User::register(&sides[0].http, "alice").await;
        let bob = User::register(&sides[1].http, "bob").await;
        let name = fresh_name("listed");
        let create = json!({"preset": "public_chat", "visibility": "public", "name": name, "topic": "All are welcome"});
        let room = alice.create_room(&create).await;
        let server = encode(&sides[0].name);
        let list = bob
            .http
            .get(&format!("/_matrix/client/v3/publicRooms?server={server}&limit=500"))
            .await
            .ok();
        let is_it = |entry: &&Value| entry["room_id"] == room.as_str();
        let listed = list["chunk"].as_array().expect("a list").iter().find(is_it).cloned();
        let listed = listed.unwrap_or_else(|| panic!("{list}"));
        assert_eq!(
            (&listed["name"], &listed["num_joined_members"]),
            (&json!(name), &json!(1))
        );
        let search = json!({"filter": {"generic_search_term": name}});
        let target = format!("/_matrix/client/v3/publicRooms?server={server}");
        let found = bob.http.post(&target, &search).await.ok();
        assert_eq!(found["chunk"].as_array().map(Vec::len), Some(1), "{found}");
    }
}

async fn keys_are_found_and_taken(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let (alice, bob, _) = together(&sides).await;
        upload_keys(&bob).await;
        let query = json!({"device_keys": {&bob.id: []}});
        let found = eventually(PATIENCE, "bob's keys", async || {
            let found = alice.http.post("/_matrix/client/v3/keys/query", &query).await.ok();
            let keys = found["device_keys"][&bob.id][&bob.device]["keys"].clone();
            if keys.is_object() {
                Ok(keys)
            } else {
                Err(found.to_string())
            }
        })
        .await;
        assert_eq!(found[format!("ed25519:{}", bob.device)], "ed");
        let claim = json!({"one_time_keys": {&bob.id: {&bob.device: "signed_curve25519"}}});
        let taken = alice.http.post("/_matrix/client/v3/keys/claim", &claim).await.ok();
        let key = &taken["one_time_keys"][&bob.id][&bob.device]["signed_curve25519:AAAAAQ"];
        assert_eq!(key["key"], "one", "{taken}");
        // It is given once.
        let again = alice.http.post("/_matrix/client/v3/keys/claim", &claim).await.ok();
        let again = &again["one_time_keys"][&bob.id][&bob.device];
        assert!(again.as_object().is_none_or(serde_json::Map::is_empty), "{again}");
    }
}

async fn new_devices_are_told_of(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let (alice, bob, _) = together(&sides).await;
        upload_keys(&bob).await;
        let query = json!({"device_keys": {&bob.id: []}});
        alice.http.post("/_matrix/client/v3/keys/query", &query).await.ok();
        let since = place(&alice).await;
        let second = bob.log_in_again().await;
        upload_keys(&second).await;
        until_told(&alice, "bob's devices to have changed", &since, |sync| {
            let changed = sync["device_lists"]["changed"].as_array()?;
            changed.contains(&json!(bob.id)).then_some(())
        })
        .await;
        eventually(PATIENCE, "both devices", async || {
            let found = alice.http.post("/_matrix/client/v3/keys/query", &query).await.ok();
            let devices = &found["device_keys"][&bob.id];
            if devices[&bob.device].is_object() && devices[&second.device].is_object() {
                Ok(())
            } else {
                Err(found.to_string())
            }
        })
        .await;
    }
}

async fn messages_reach_devices(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let (alice, bob, _) = together(&sides).await;
        for n in 0..3 {
            let target = format!("/_matrix/client/v3/sendToDevice/m.test/{}", fresh_name("txn"));
            let body = json!({"messages": {&bob.id: {&bob.device: {"n": n}}}});
            alice.http.put(&target, &body).await.ok();
        }
        let got = eventually(PATIENCE, "the messages", async || {
            let sync = bob.sync(None, 0, "").await.ok();
            let got: Vec<Value> = events(&sync, "to_device")
                .map(|event| event["content"]["n"].clone())
                .collect();
            if got.len() == 3 { Ok(got) } else { Err(sync.to_string()) }
        })
        .await;
        assert_eq!(got, [json!(0), json!(1), json!(2)]);
    }
}

async fn files_are_fetched(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let (alice, bob, room) = together(&sides).await;
        let upload = bob.http.with_header("content-type", "text/plain");
        let uploaded = upload
            .send(
                http::Method::POST,
                "/_matrix/media/v3/upload?filename=words.txt",
                "many words",
            )
            .await
            .ok();
        let uri = uploaded["content_uri"].as_str().expect("a uri").to_owned();
        join_via(&bob, &room, &sides[0].name).await.ok();
        let path = uri.strip_prefix("mxc://").expect("an mxc uri");
        let file = alice
            .http
            .get(&format!("/_matrix/client/v1/media/download/{path}"))
            .await;
        assert_eq!((file.status, file.text().as_str()), (200, "many words"));
        // Synapse adds a character set.
        let kind = file.headers["content-type"].to_str().expect("a text");
        assert!(kind.starts_with("text/plain"), "{kind}");
        let again = alice
            .http
            .get(&format!("/_matrix/client/v1/media/download/{path}"))
            .await;
        assert_eq!(again.text(), "many words");
    }
}

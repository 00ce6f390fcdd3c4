//! What a server tells beside events: heard if it is of its own users, in rooms that both are in, and no more than that.

use plexus_core::room_version::RoomVersion;
use plexus_tests::{PATIENCE, User, encode, eventually, fresh_name};
use serde_json::{Value, json};

use super::{SPLIT, Visited};

/// What others may say instead of [`Visited::alice`].
const STRANGER: &str = "@mallory:elsewhere.example";

impl Visited {
    async fn tell(&self, edus: &[Value]) {
        let id = fresh_name("txn");
        let answer = self.peer.transaction(&self.http, &self.server, &id, &[], edus).await;
        assert_eq!(answer.ok(), json!({"pdus": {}}));
    }

    /// What of a room's ephemeral events of a type a whole sync has.
    async fn ephemeral(&self, kind: &str) -> Value {
        let synced = self.dave.sync(None, 0, "").await.ok();
        let events = &synced["rooms"]["join"][self.room.room()]["ephemeral"]["events"];
        let found = events
            .as_array()
            .into_iter()
            .flatten()
            .find(|event| event["type"] == kind);
        found.map_or(Value::Null, |event| event["content"].clone())
    }
}

fn typing(room: &str, user: &str, typing: bool) -> Value {
    json!({"edu_type": "m.typing", "content": {"room_id": room, "user_id": user, "typing": typing}})
}

fn receipt(room: &str, user: &str, event: &str) -> Value {
    let read = json!({"event_ids": [event], "data": {"ts": 1234}});
    json!({"edu_type": "m.receipt", "content": {room: {"m.read": {user: read}}}})
}

#[test]
fn hostile_20_typing_is_heard_of_a_servers_own_users_in_the_room_only() {
    SPLIT.run(async |cluster| {
        let room = Visited::new(&cluster, RoomVersion::V11).await;
        let id = room.room.room();
        let not_in_it = room.peer.user("nobody");
        room.tell(&[
            typing(&id, STRANGER, true),
            typing(&id, &room.dave.id, true),
            typing(&id, &not_in_it, true),
            typing("!nowhere:example.org", &room.alice, true),
            json!({"edu_type": "m.typing", "content": {"room_id": id, "user_id": 7, "typing": true}}),
            json!({"edu_type": "m.typing", "content": []}),
            json!(7),
            typing(&id, &room.alice, true),
        ])
        .await;
        let typing_now = async |wanted: Value| {
            eventually(PATIENCE, "typing to be told", async || {
                let content = room.ephemeral("m.typing").await;
                let users = content.get("user_ids").cloned().unwrap_or(json!([]));
                if users == wanted {
                    Ok(())
                } else {
                    Err(users.to_string())
                }
            })
            .await;
        };
        typing_now(json!([room.alice])).await;
        room.tell(&[typing(&id, &room.alice, false)]).await;
        typing_now(json!([])).await;
    });
}

#[test]
fn hostile_20_receipts_are_heard_of_a_servers_own_users_in_the_room_only() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        let event = room.say("read me");
        room.send_well(&[event]).await;
        room.until_seen(event).await;
        let (id, event_id) = (room.room.room(), room.id(event));
        let private = json!({"edu_type": "m.receipt", "content": {&id: {"m.read.private": {&room.alice: {
            "event_ids": [&event_id], "data": {"ts": 1}}}}}});
        let malformed =
            json!({"edu_type": "m.receipt", "content": {&id: {"m.read": {&room.alice: {"event_ids": []}}}}});
        room.tell(&[
            private,
            malformed,
            receipt(&id, STRANGER, &event_id),
            receipt(&id, &room.dave.id, &event_id),
            receipt(&id, &room.peer.user("nobody"), &event_id),
            receipt("!nowhere:example.org", &room.alice, &event_id),
            receipt(&id, &room.alice, "$nothing"),
            receipt(&id, &room.alice, &event_id),
        ])
        .await;
        let wanted = json!({&event_id: {"m.read": {&room.alice: {"ts": 1234}}}});
        eventually(PATIENCE, "the receipt to be told", async || {
            let content = room.ephemeral("m.receipt").await;
            if content == wanted {
                Ok(())
            } else {
                Err(content.to_string())
            }
        })
        .await;
    });
}

#[test]
fn hostile_20_presence_is_heard_of_users_who_share_a_room_only() {
    SPLIT.run(async |cluster| {
        let room = Visited::new(&cluster, RoomVersion::V11).await;
        let push = |user: &str, status: &str| {
            json!({"user_id": user, "presence": "online", "last_active_ago": 1000, "currently_active": true,
                "status_msg": status})
        };
        let pushed = json!([
            push(STRANGER, "forged"), push(&room.dave.id, "forged"), push(&room.peer.user("nobody"), "unknown"),
            {"user_id": room.alice, "presence": "sideways"}, 7, push(&room.alice, "at sea"),
        ]);
        room.tell(&[json!({"edu_type": "m.presence", "content": {"push": pushed}})])
            .await;
        let presence = |user: &str| format!("/_matrix/client/v3/presence/{}/status", encode(user));
        eventually(PATIENCE, "Alice to be there", async || {
            let told = room.dave.http.get(&presence(&room.alice)).await;
            if told.status == 200 && told.json()["status_msg"] == "at sea" {
                assert_eq!(told.json()["presence"], "online");
                assert_eq!(told.json()["currently_active"], true);
                return Ok(());
            }
            Err(told.text())
        })
        .await;
        let own = room.dave.http.get(&presence(&room.dave.id)).await.ok();
        assert_ne!(own["status_msg"], "forged");
        let gone = json!([{"user_id": room.alice, "presence": "offline", "last_active_ago": 5}]);
        room.tell(&[json!({"edu_type": "m.presence", "content": {"push": gone}})])
            .await;
        eventually(PATIENCE, "Alice to be gone", async || {
            let told = room.dave.http.get(&presence(&room.alice)).await;
            if told.json()["presence"] == "offline" {
                Ok(())
            } else {
                Err(told.text())
            }
        })
        .await;
    });
}

#[test]
fn messages_to_devices_come_once() {
    SPLIT.run(async |cluster| {
        let room = Visited::new(&cluster, RoomVersion::V11).await;
        let message = |sender: &str, id: &str, text: &str| {
            json!({"edu_type": "m.direct_to_device", "content": {
                "sender": sender, "type": "org.example.note", "message_id": id,
                "messages": {&room.dave.id: {"*": {"text": text}}, STRANGER: {"*": {"text": "not ours"}}},
            }})
        };
        let first = message(&room.alice, "one", "first");
        room.tell(&[message(STRANGER, "no", "forged"), first.clone(), first.clone()])
            .await;
        // The sender did not hear the answer, and sends it in another transaction, to another process.
        let reader = cluster.direct("reader2");
        let id = fresh_name("txn");
        let again = [
            first,
            message(&room.alice, "two", "second"),
            message(&room.alice, "", "third"),
        ];
        for _ in 0..2 {
            room.peer
                .transaction(&reader, &room.server, &id, &[], &again)
                .await
                .ok();
        }
        let texts = async |user: &User| {
            let synced = user.sync(None, 0, "").await.ok();
            let events = synced["to_device"]["events"].as_array().cloned().unwrap_or_default();
            assert!(
                events.iter().all(|event| event["sender"] == room.alice.as_str()),
                "{synced}"
            );
            let texts = events.iter().filter_map(|event| event["content"]["text"].as_str());
            texts.map(str::to_owned).collect::<Vec<_>>()
        };
        eventually(PATIENCE, "the messages to come", async || {
            let texts = texts(&room.dave).await;
            if texts == ["first", "second", "third"] {
                Ok(())
            } else {
                Err(format!("{texts:?}"))
            }
        })
        .await;
    });
}

#[test]
fn hostile_20_a_flood_is_counted_and_not_heard() {
    SPLIT.run(async |cluster| {
        let room = Visited::new(&cluster, RoomVersion::V11).await;
        let id = room.room.room();
        let flood: Vec<Value> = (0..100).map(|count| typing(&id, &room.alice, count % 2 == 0)).collect();
        let dropped = async || {
            let metrics = cluster.internal("reader1").get("/metrics").await.text();
            metrics.lines().any(|line| {
                let is_it = line.starts_with("plexus_federation_received_edus_total{") && line.contains("m.typing");
                is_it && line.contains("too_much") && !line.ends_with(" 0")
            })
        };
        let mut sent = 0;
        while !dropped().await {
            room.tell(&flood).await;
            sent += flood.len();
            assert!(sent <= 100_000, "all of a flood was heard");
        }
        // It is still a server like others.
        let event = json!({"edu_type": "m.direct_to_device", "content": {
            "sender": room.alice, "type": "org.example.note", "message_id": "after",
            "messages": {&room.dave.id: {"*": {"text": "after the flood"}}}}});
        room.tell(&[event]).await;
        eventually(PATIENCE, "the message to come", async || {
            let synced = room.dave.sync(None, 0, "").await.ok();
            let events = &synced["to_device"]["events"];
            if events[0]["content"]["text"] == "after the flood" {
                Ok(())
            } else {
                Err(events.to_string())
            }
        })
        .await;
    });
}

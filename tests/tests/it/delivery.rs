//! Other servers are told what they have to know, all of it and in order, and nothing else, whoever is killed meanwhile.
//!
//! Another server's users come into our rooms by Commands of a worker. One process alone has no door for them, so these rooms are on many.

mod admin;
mod dead;
mod peer;
mod shares;

use plexus_core::event::SigningKey;
use plexus_tests::{Cluster, PATIENCE, Shared, Topology, User, encode, eventually, fresh_name};
use serde_json::{Value, json};

use self::peer::{Manner, Peer, VERSION};

static SPLIT: Shared = Shared::federated(Topology::Split);
static KILLED: Shared = Shared::federated_by_turns(Topology::Split);

/// Alice and a room of hers with Bob, who is another server's.
struct Setting {
    alice: User,
    room: String,
    peer: Peer,
}

impl Setting {
    async fn new(cluster: &Cluster) -> Self {
        let peer = Peer::start().await;
        // One process serves what she reads: what it has shown once it does not forget.
        let alice = User::register(&cluster.http(), "alice")
            .await
            .at(&cluster.direct("reader1"));
        let room = json!({"preset": "public_chat", "room_version": VERSION.as_str()});
        let room = alice.create_room(&room).await;
        peer.member(cluster, &alice, &room, "bob", "join").await;
        Self { alice, room, peer }
    }

    async fn say(&self, text: &str) {
        self.alice.say(&self.room, text).await;
    }
}

#[test]
fn what_is_said_arrives_in_order_and_once() {
    SPLIT.run(async |cluster| {
        let it = Setting::new(&cluster).await;
        let texts: Vec<String> = (0..70).map(|number| format!("message {number}")).collect();
        for text in &texts {
            it.say(text).await;
        }
        it.peer.until_told("message 69").await;
        assert_eq!(it.peer.texts(), texts);
        for taken in it.peer.taken() {
            assert!(taken.pdus.len() <= 50 && taken.edus.len() <= 100, "{taken:?}");
        }
        for event in it.peer.events() {
            assert_eq!(event["room_id"], it.room);
            assert_eq!(event["sender"], it.alice.id, "others' events are theirs to send");
            assert!(event["signatures"][cluster.server_name()].is_object(), "{event}");
        }
    });
}

#[test]
fn many_events_that_wait_are_split() {
    SPLIT.run(async |cluster| {
        let it = Setting::new(&cluster).await;
        it.say("before").await;
        it.peer.until_told("before").await;
        it.peer.behaves(Manner::Fails);
        let asked = it.peer.asked();
        it.say("waits 0").await;
        it.peer.until_asked(asked + 1).await;
        // More than one transaction takes, and said before it is left alone.
        for number in 1..60 {
            it.say(&format!("waits {number}")).await;
        }
        it.peer.behaves(Manner::Takes);
        it.peer.until_told("waits 59").await;
        let wanted: Vec<String> = (0..60).map(|number| format!("waits {number}")).collect();
        assert_eq!(it.peer.texts()[1..], wanted);
        let sizes: Vec<usize> = it.peer.taken().iter().map(|taken| taken.pdus.len()).collect();
        assert!(sizes.iter().all(|size| *size <= 50), "{sizes:?}");
    });
}

#[test]
fn who_is_put_out_learns_that_and_nothing_after() {
    SPLIT.run(async |cluster| {
        let it = Setting::new(&cluster).await;
        let bob = it.peer.user("bob");
        it.say("welcome").await;
        it.alice.act(&it.room, "kick", &json!({"user_id": bob})).await.ok();
        it.say("he is gone").await;
        // In another room he is told of what came later, and so has been told of everything before.
        let other = json!({"preset": "public_chat", "room_version": VERSION.as_str()});
        let other = it.alice.create_room(&other).await;
        it.peer.member(&cluster, &it.alice, &other, "bob", "join").await;
        it.alice.say(&other, "elsewhere").await;
        it.peer.until_told("elsewhere").await;
        assert_eq!(it.peer.texts(), ["welcome", "elsewhere"]);
        let kicks = it.peer.events().into_iter().filter(|event| event["state_key"] == *bob);
        let kicks: Vec<Value> = kicks.map(|event| event["content"]["membership"].clone()).collect();
        assert_eq!(kicks, ["leave"]);
    });
}

#[test]
fn what_passes_is_told_too() {
    SPLIT.run(async |cluster| {
        let it = Setting::new(&cluster).await;
        let (alice, room) = (&it.alice, &it.room);
        let event = alice.say(room, "read this").await;
        let typing = format!("/_matrix/client/v3/rooms/{}/typing/{}", encode(room), encode(&alice.id));
        alice
            .http
            .put(&typing, &json!({"typing": true, "timeout": 30_000}))
            .await
            .ok();
        let told = it.peer.until_edu("m.typing", |edu| edu["room_id"] == *room).await;
        assert_eq!(told, json!({"room_id": room, "user_id": alice.id, "typing": true}));
        alice.http.put(&typing, &json!({"typing": false})).await.ok();
        it.peer.until_edu("m.typing", |edu| edu["typing"] == false).await;

        alice
            .act(room, &format!("receipt/m.read.private/{}", encode(&event)), &json!({}))
            .await
            .ok();
        alice
            .act(room, &format!("receipt/m.read/{}", encode(&event)), &json!({}))
            .await
            .ok();
        let told = it.peer.until_edu("m.receipt", |_| true).await;
        let receipt = &told[room]["m.read"][&alice.id];
        assert_eq!(receipt["event_ids"], json!([event]));
        assert!(receipt["data"]["ts"].is_i64(), "{told}");

        let status = format!("/_matrix/client/v3/presence/{}/status", encode(&alice.id));
        let here = json!({"presence": "online", "status_msg": "in the garden"});
        alice.http.put(&status, &here).await.ok();
        let told = it
            .peer
            .until_edu("m.presence", |edu| edu["push"][0]["status_msg"] == "in the garden")
            .await;
        assert_eq!(told["push"][0]["user_id"], alice.id);
        assert_eq!(told["push"][0]["presence"], "online");
        // The private receipt came before the public one: had it been told, it would have been.
        assert_eq!(it.peer.edus("m.receipt").len(), 1);
    });
}

#[test]
fn who_comes_by_us_is_told_to_the_others() {
    SPLIT.run(async |cluster| {
        let it = Setting::new(&cluster).await;
        let other = Cluster::start_federated(Topology::AllInOne).await;
        let carol = User::register(&other.http(), "carol").await;
        let join = format!(
            "/_matrix/client/v3/join/{}?via={}",
            encode(&it.room),
            encode(cluster.server_name())
        );
        carol.http.post(&join, &json!({})).await.ok();
        carol.say(&it.room, "hello").await;
        it.peer.until_told("hello").await;
        let by = |server: &str, kind: &str| {
            let taken = it.peer.taken().into_iter().filter(|taken| taken.origin == server);
            let events = taken.flat_map(|taken| taken.pdus);
            events
                .filter(|event| event["sender"] == *carol.id && event["type"] == kind)
                .count()
        };
        eventually(PATIENCE, "her coming to be told", async || {
            let told = by(cluster.server_name(), "m.room.member");
            (told == 1).then_some(()).ok_or_else(|| format!("{told} times"))
        })
        .await;
        // What she does once she is in, her own server tells.
        assert_eq!(by(cluster.server_name(), "m.room.message"), 0);
        assert_eq!(by(other.server_name(), "m.room.message"), 1);
        assert_eq!(by(other.server_name(), "m.room.member"), 0);
    });
}

async fn send_to_device(user: &User, to: &str, text: &str) {
    let target = format!("/_matrix/client/v3/sendToDevice/m.test/{}", fresh_name("txn"));
    let messages = json!({"messages": {to: {"DEVICE": {"text": text}, "*": {"text": text}}}});
    user.http.put(&target, &messages).await.ok();
}

fn direct_texts(peer: &Peer, to: &str) -> Vec<String> {
    let edus = peer.edus("m.direct_to_device");
    let texts = edus
        .iter()
        .filter_map(|edu| edu["messages"][to]["DEVICE"]["text"].as_str());
    texts.map(str::to_owned).collect()
}

#[test]
fn messages_to_devices_arrive_in_order() {
    SPLIT.run(async |cluster| {
        let it = Setting::new(&cluster).await;
        let bob = it.peer.user("bob");
        let texts: Vec<String> = (0..150).map(|number| format!("secret {number}")).collect();
        it.peer.behaves(Manner::Fails);
        send_to_device(&it.alice, &bob, &texts[0]).await;
        let asked = it.peer.asked();
        it.peer.until_asked(asked + 1).await;
        for text in &texts[1..] {
            send_to_device(&it.alice, &bob, text).await;
        }
        it.peer.behaves(Manner::Takes);
        let last = |peer: &Peer| direct_texts(peer, &bob).iter().any(|text| text == "secret 149");
        it.peer
            .asks_until(&cluster, &it.alice.id, "the last of them", last)
            .await;
        let told = it.peer.until_edu("m.direct_to_device", |_| true).await;
        assert_eq!(
            (&told["sender"], &told["type"]),
            (&json!(it.alice.id), &json!("m.test"))
        );
        assert_eq!(direct_texts(&it.peer, &bob), texts);
        let sizes: Vec<usize> = it.peer.taken().iter().map(|taken| taken.edus.len()).collect();
        assert!(sizes.iter().all(|size| *size <= 100), "{sizes:?}");
        let edus = it.peer.edus("m.direct_to_device");
        let ids: std::collections::BTreeSet<&str> = edus.iter().filter_map(|edu| edu["message_id"].as_str()).collect();
        assert_eq!(ids.len(), texts.len());
        assert!(ids.iter().all(|id| id.chars().count() <= 32), "{ids:?}");
    });
}

#[test]
fn changes_of_devices_are_a_chain() {
    SPLIT.run(async |cluster| {
        let it = Setting::new(&cluster).await;
        let phone = it.alice.log_in_again().await;
        let of = |device: &str| {
            let device = device.to_owned();
            move |edu: &Value| edu["device_id"] == *device
        };
        let first = it.peer.until_edu("m.device_list_update", of(&phone.device)).await;
        assert_eq!(first["user_id"], it.alice.id);
        let rename = format!("/_matrix/client/v3/devices/{}", encode(&phone.device));
        phone
            .http
            .put(&rename, &json!({"display_name": "telephone"}))
            .await
            .ok();
        let named = it
            .peer
            .until_edu("m.device_list_update", |edu| edu["device_display_name"] == "telephone")
            .await;
        assert_eq!(named["prev_id"], json!([first["stream_id"]]));
        phone.http.post("/_matrix/client/v3/logout", &json!({})).await.ok();
        let gone = it
            .peer
            .until_edu("m.device_list_update", |edu| edu["deleted"] == true)
            .await;
        assert_eq!(
            (&gone["device_id"], &gone["prev_id"]),
            (&json!(phone.device), &json!([named["stream_id"]]))
        );
    });
}

#[test]
fn cross_signing_keys_are_told() {
    SPLIT.run(async |cluster| {
        let it = Setting::new(&cluster).await;
        let key = SigningKey::from_seed("1", &[3; 32]).expect("a key");
        let public = key.verify_key().to_base64();
        let master = json!({
            "user_id": it.alice.id,
            "usage": ["master"],
            "keys": {format!("ed25519:{public}"): public},
        });
        let upload = "/_matrix/client/v3/keys/device_signing/upload";
        it.alice.http.post(upload, &json!({ "master_key": master })).await.ok();
        let told = it.peer.until_edu("m.signing_key_update", |_| true).await;
        assert_eq!(told, json!({"user_id": it.alice.id, "master_key": master}));
    });
}

#[test]
fn what_is_not_wanted_holds_up_nothing() {
    SPLIT.run(async |cluster| {
        let it = Setting::new(&cluster).await;
        it.peer.behaves(Manner::Refuses);
        let asked = it.peer.asked();
        it.say("not wanted").await;
        it.peer.until_asked(asked + 1).await;
        it.peer.behaves(Manner::Takes);
        it.say("wanted").await;
        it.peer.until_told("wanted").await;
        assert!(!it.peer.texts().contains(&"not wanted".to_owned()));
    });
}

#[test]
fn who_was_away_is_told_as_soon_as_he_asks_something() {
    SPLIT.run(async |cluster| {
        let it = Setting::new(&cluster).await;
        let bob = it.peer.user("bob");
        it.say("before").await;
        it.peer.until_told("before").await;
        fall_away(&it).await;
        it.say("meanwhile").await;
        send_to_device(&it.alice, &bob, "secret").await;
        let phone = it.alice.log_in_again().await;
        let asked = it.peer.asked();
        it.peer.behaves(Manner::Takes);
        it.peer.asks_until_told(&cluster, &it.alice.id, "meanwhile").await;
        it.peer.until_edu("m.direct_to_device", |_| true).await;
        it.peer
            .until_edu("m.device_list_update", |edu| edu["device_id"] == *phone.device)
            .await;
        assert_eq!(it.peer.texts(), ["before", "away", "meanwhile"]);
        assert!(it.peer.asked() <= asked + 3, "it is told in few transactions");
        it.say("after").await;
        it.peer.until_told("after").await;
        assert_eq!(it.peer.texts(), ["before", "away", "meanwhile", "after"]);
    });
}

/// The other server does not answer, until it is left alone.
async fn fall_away(it: &Setting) {
    it.peer.behaves(Manner::Fails);
    let asked = it.peer.asked();
    it.say("away").await;
    it.peer.until_asked(asked + 3).await;
}

#[test]
fn nothing_is_lost_when_the_sender_is_killed() {
    KILLED.run(async |cluster| {
        let it = Setting::new(&cluster).await;
        let bob = it.peer.user("bob");
        it.say("before").await;
        it.peer.until_told("before").await;
        it.peer.behaves(Manner::Silent);
        let asked = it.peer.asked();
        it.say("under way").await;
        it.peer.until_asked(asked + 1).await;
        send_to_device(&it.alice, &bob, "secret").await;
        cluster.process("sender1").kill();
        it.say("while nobody sends").await;
        it.peer.behaves(Manner::Takes);
        cluster.process("sender1").start_again();
        it.peer.until_told("while nobody sends").await;
        it.peer.until_edu("m.direct_to_device", |_| true).await;
        let mut texts = it.peer.texts();
        texts.dedup();
        assert_eq!(texts, ["before", "under way", "while nobody sends"]);
        assert_eq!(direct_texts(&it.peer, &bob), ["secret"]);
    });
}

#[test]
fn who_lags_is_told_by_a_sender_that_was_started_later() {
    KILLED.run(async |cluster| {
        let it = Setting::new(&cluster).await;
        it.say("before").await;
        it.peer.until_told("before").await;
        fall_away(&it).await;
        it.say("meanwhile").await;
        cluster.process("sender1").kill();
        it.say("while nobody sends").await;
        cluster.process("sender1").start_again();
        it.peer.behaves(Manner::Takes);
        let last = "while nobody sends";
        it.peer.asks_until_told(&cluster, &it.alice.id, last).await;
        assert_eq!(it.peer.texts(), ["before", "away", "meanwhile", last]);
    });
}

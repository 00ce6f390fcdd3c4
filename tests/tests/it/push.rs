//! Push gateways are told of what users want to know, once, and of nothing else.

mod gateway;

use std::sync::Arc;

use http::Method;
use plexus_tests::{
    Cluster, Http, PATIENCE, Shared, Solo, Topology, User, encode, eventually, free_port, fresh_name, run,
};
use serde_json::{Value, json};

use self::gateway::Gateway;

const APP: &str = "org.example.app";
const SET: &str = "/_matrix/client/v3/pushers/set";

super::scenarios! {
    a_message_is_told_once_with_what_it_says,
    own_messages_and_muted_rooms_are_silent,
    only_the_id_is_told_if_that_is_wanted,
    an_invitation_is_told,
    what_was_said_before_he_came_is_not_told,
    who_is_ignored_is_not_told_of,
    a_failing_gateway_is_told_later,
    a_pusher_that_is_set_again_goes_on_where_it_was,
    a_gateway_can_end_it,
    the_end_of_a_session_ends_its_pusher,
    a_pusher_can_be_removed,
}

/// Alice and Bob in a room with Carol, so that nothing is as loud as between two; and Bob's gateway.
struct Setting {
    alice: User,
    bob: User,
    room: String,
    gateway: Gateway,
    pushkey: String,
}

impl Setting {
    async fn new(cluster: &Cluster) -> Self {
        let http = cluster.http();
        let alice = User::register(&http, "alice").await;
        let bob = User::register(&http, "bob").await;
        let carol = User::register(&http, "carol").await;
        let room = json!({"preset": "public_chat", "name": "Kitchen"});
        let room = alice.create_room(&room).await;
        bob.join(&room).await;
        carol.join(&room).await;
        let gateway = Gateway::start().await;
        let pushkey = fresh_name("pushkey");
        set(&bob, &pushkey, json!({"url": gateway.url(), "brand": "Example"})).await;
        Self {
            alice,
            bob,
            room,
            gateway,
            pushkey,
        }
    }
}

async fn set(user: &User, pushkey: &str, data: Value) {
    let body = json!({
        "kind": "http",
        "app_id": APP,
        "pushkey": pushkey,
        "app_display_name": "Example",
        "device_display_name": "Phone",
        "lang": "en",
        "data": data,
    });
    user.http.post(SET, &body).await.ok();
}

async fn remove(user: &User, pushkey: &str) {
    let body = json!({"kind": null, "app_id": APP, "pushkey": pushkey});
    user.http.post(SET, &body).await.ok();
}

/// The keys of a user's pushers.
async fn pushkeys(user: &User) -> Vec<String> {
    let answer = user.http.get("/_matrix/client/v3/pushers").await.ok();
    let pushers = answer["pushers"].as_array().expect("a list");
    let keys = pushers.iter().filter_map(|pusher| pusher["pushkey"].as_str());
    keys.map(str::to_owned).collect()
}

async fn send(user: &User, room: &str, content: &Value) -> String {
    let target = format!(
        "/_matrix/client/v3/rooms/{}/send/m.room.message/{}",
        encode(room),
        fresh_name("txn")
    );
    let answer = user.http.put(&target, content).await.ok();
    answer["event_id"].as_str().expect("an event id").to_owned()
}

async fn a_message_is_told_once_with_what_it_says(cluster: Arc<Cluster>) {
    let it = Setting::new(&cluster).await;
    let first = it.alice.say(&it.room, "dinner is ready").await;
    let content = json!({
        "msgtype": "m.text",
        "body": "it gets cold",
        "m.mentions": {"user_ids": [it.bob.id]},
    });
    let device = |tweaks: Value| {
        json!([{
            "app_id": APP,
            "pushkey": it.pushkey,
            "data": {"brand": "Example"},
            "tweaks": tweaks,
        }])
    };
    let told = it.gateway.until_told_just(&[&first]).await;
    let wanted = json!({
        "event_id": first,
        "room_id": it.room,
        "room_name": "Kitchen",
        "type": "m.room.message",
        "sender": it.alice.id,
        "sender_display_name": told[0]["sender_display_name"],
        "content": {"msgtype": "m.text", "body": "dinner is ready"},
        "counts": {"unread": 1},
        "prio": "low",
        "devices": device(json!({})),
    });
    assert_eq!(told[0], wanted);
    let second = send(&it.alice, &it.room, &content).await;
    let told = it.gateway.until_told_just(&[&first, &second]).await;
    assert_eq!(told[1]["content"], content);
    assert_eq!(told[1]["counts"], json!({"unread": 2}));
    assert_eq!(told[1]["prio"], "high");
    assert_eq!(
        told[1]["devices"],
        device(json!({"sound": "default", "highlight": true}))
    );
    // Reading takes from the count.
    let receipt = format!("receipt/m.read/{}", encode(&second));
    it.bob.act(&it.room, &receipt, &json!({})).await.ok();
    let third = it.alice.say(&it.room, "never mind").await;
    let told = it.gateway.until_told_just(&[&first, &second, &third]).await;
    assert_eq!(told[2]["counts"], json!({"unread": 1}));
}

async fn own_messages_and_muted_rooms_are_silent(cluster: Arc<Cluster>) {
    let it = Setting::new(&cluster).await;
    let muted = it.alice.create_public_room().await;
    it.bob.join(&muted).await;
    let rule = format!("/_matrix/client/v3/pushrules/global/room/{}", encode(&muted));
    it.bob.http.put(&rule, &json!({"actions": []})).await.ok();
    it.bob.say(&it.room, "mine").await;
    it.alice.say(&muted, "nobody listens").await;
    // Events are told in their order: had there been something to tell of these, it would have come first.
    let heard = it.alice.say(&it.room, "somebody listens").await;
    it.gateway.until_told_just(&[&heard]).await;
    it.bob.http.send(Method::DELETE, &rule, "").await.ok();
    let loud = it.alice.say(&muted, "again").await;
    it.gateway.until_told_just(&[&heard, &loud]).await;
}

async fn only_the_id_is_told_if_that_is_wanted(cluster: Arc<Cluster>) {
    let it = Setting::new(&cluster).await;
    let data = json!({"url": it.gateway.url(), "format": "event_id_only"});
    set(&it.bob, &it.pushkey, data).await;
    let event = it.alice.say(&it.room, "between us").await;
    let told = it.gateway.until_told_just(&[&event]).await;
    let members: Vec<&String> = told[0].as_object().expect("an object").keys().collect();
    assert_eq!(members, ["counts", "devices", "event_id", "room_id"]);
    assert_eq!(told[0]["room_id"], it.room);
    assert_eq!(told[0]["counts"], json!({"unread": 1}));
    assert_eq!(told[0]["devices"][0]["data"], json!({"format": "event_id_only"}));
}

async fn an_invitation_is_told(cluster: Arc<Cluster>) {
    let it = Setting::new(&cluster).await;
    let room = it.alice.create_room(&json!({"preset": "private_chat"})).await;
    it.alice.invite(&room, &it.bob).await;
    let after = it.alice.say(&it.room, "look at your invitations").await;
    let told = it.gateway.until_told(&after).await;
    assert_eq!(told.len(), 2, "{told:#?}");
    let invitation = &told[0];
    assert_eq!(invitation["room_id"], room);
    assert_eq!(invitation["type"], "m.room.member");
    assert_eq!(invitation["content"]["membership"], "invite");
    assert_eq!(invitation["user_is_target"], true);
    assert_eq!(invitation["devices"][0]["tweaks"]["sound"], "default");
}

async fn what_was_said_before_he_came_is_not_told(cluster: Arc<Cluster>) {
    let it = Setting::new(&cluster).await;
    let room = it.alice.create_public_room().await;
    for line in ["one", "two", "three"] {
        it.alice.say(&room, line).await;
    }
    it.bob.join(&room).await;
    let event = it.alice.say(&room, "welcome").await;
    it.gateway.until_told_just(&[&event]).await;
}

async fn who_is_ignored_is_not_told_of(cluster: Arc<Cluster>) {
    let it = Setting::new(&cluster).await;
    let pest = User::register(&cluster.http(), "pest").await;
    pest.join(&it.room).await;
    let target = format!(
        "/_matrix/client/v3/user/{}/account_data/m.ignored_user_list",
        encode(&it.bob.id)
    );
    let ignored = json!({"ignored_users": {(pest.id.as_str()): {}}});
    it.bob.http.put(&target, &ignored).await.ok();
    pest.say(&it.room, "hey").await;
    let room = pest.create_room(&json!({"preset": "private_chat"})).await;
    pest.invite(&room, &it.bob).await;
    let event = it.alice.say(&it.room, "quiet here").await;
    it.gateway.until_told_just(&[&event]).await;
}

async fn a_failing_gateway_is_told_later(cluster: Arc<Cluster>) {
    let it = Setting::new(&cluster).await;
    it.gateway.refuse(2);
    let first = it.alice.say(&it.room, "can you hear me?").await;
    let second = it.alice.say(&it.room, "hello?").await;
    it.gateway.until_told_just(&[&first, &second]).await;
    assert_eq!(it.gateway.refused(), 2);
}

async fn a_pusher_that_is_set_again_goes_on_where_it_was(cluster: Arc<Cluster>) {
    let it = Setting::new(&cluster).await;
    it.gateway.refuse(usize::MAX);
    let event = it.alice.say(&it.room, "not to be lost").await;
    it.gateway.until_refused(1).await;
    let other = Gateway::start().await;
    set(&it.bob, &it.pushkey, json!({"url": other.url()})).await;
    other.until_told_just(&[&event]).await;
    assert_eq!(pushkeys(&it.bob).await, [it.pushkey.as_str()]);
}

async fn a_gateway_can_end_it(cluster: Arc<Cluster>) {
    let it = Setting::new(&cluster).await;
    it.gateway.reject(&fresh_name("of-somebody-else"));
    let first = it.alice.say(&it.room, "one").await;
    let second = it.alice.say(&it.room, "two").await;
    it.gateway.until_told_just(&[&first, &second]).await;
    assert_eq!(pushkeys(&it.bob).await, [it.pushkey.as_str()]);
    it.gateway.reject(&it.pushkey);
    it.alice.say(&it.room, "three").await;
    eventually(PATIENCE, "the pusher to be gone", async || {
        let keys = pushkeys(&it.bob).await;
        keys.is_empty().then_some(()).ok_or_else(|| keys.join(" "))
    })
    .await;
}

async fn the_end_of_a_session_ends_its_pusher(cluster: Arc<Cluster>) {
    let it = Setting::new(&cluster).await;
    let phone = it.bob.log_in_again().await;
    let (gateway, pushkey) = (Gateway::start().await, fresh_name("pushkey"));
    set(&phone, &pushkey, json!({"url": gateway.url()})).await;
    let before = it.alice.say(&it.room, "before").await;
    gateway.until_told_just(&[&before]).await;
    phone.http.post("/_matrix/client/v3/logout", &json!({})).await.ok();
    assert_eq!(pushkeys(&it.bob).await, [it.pushkey.as_str()]);
    let after = it.alice.say(&it.room, "after").await;
    let last = it.alice.say(&it.room, "long after").await;
    it.gateway.until_told_just(&[&before, &after, &last]).await;
    gateway.until_told_just(&[&before]).await;
}

async fn a_pusher_can_be_removed(cluster: Arc<Cluster>) {
    let it = Setting::new(&cluster).await;
    let (other, kept) = (Gateway::start().await, fresh_name("pushkey"));
    set(&it.bob, &kept, json!({"url": other.url()})).await;
    let before = it.alice.say(&it.room, "before").await;
    it.gateway.until_told_just(&[&before]).await;
    remove(&it.bob, &it.pushkey).await;
    assert_eq!(pushkeys(&it.bob).await, [kept.as_str()]);
    let after = it.alice.say(&it.room, "after").await;
    other.until_told_just(&[&before, &after]).await;
    it.gateway.until_told_just(&[&before]).await;
    // One that is made anew is told of nothing older.
    set(&it.bob, &it.pushkey, json!({"url": it.gateway.url()})).await;
    let last = it.alice.say(&it.room, "again").await;
    it.gateway.until_told_just(&[&before, &last]).await;
}

static KILLED_ALL_IN_ONE: Shared = Shared::by_turns(Topology::AllInOne);
static KILLED_SPLIT: Shared = Shared::by_turns(Topology::Split);

#[test]
fn all_in_one_nothing_is_lost_when_it_is_killed() {
    KILLED_ALL_IN_ONE.run(nothing_is_lost_when_it_is_killed);
}

#[test]
fn split_nothing_is_lost_when_it_is_killed() {
    KILLED_SPLIT.run(nothing_is_lost_when_it_is_killed);
}

async fn nothing_is_lost_when_it_is_killed(cluster: Arc<Cluster>) {
    let it = Setting::new(&cluster).await;
    let before = it.alice.say(&it.room, "before").await;
    it.gateway.until_told_just(&[&before]).await;
    it.gateway.refuse(usize::MAX);
    let waiting = it.alice.say(&it.room, "waits for the gateway").await;
    it.gateway.until_refused(1).await;
    let (name, meanwhile) = match cluster.topology {
        Topology::AllInOne => {
            let meanwhile = it.alice.say(&it.room, "waits behind it").await;
            cluster.process("plexus").kill();
            ("plexus", meanwhile)
        }
        Topology::Split => {
            cluster.process("sender1").kill();
            ("sender1", it.alice.say(&it.room, "waits for the sender").await)
        }
    };
    it.gateway.refuse(0);
    cluster.process(name).start_again();
    cluster.until_ready().await;
    it.gateway.until_told_just(&[&before, &waiting, &meanwhile]).await;
    let after = it.alice.say_stubbornly(&it.room, "after").await;
    it.gateway
        .until_told_just(&[&before, &waiting, &meanwhile, &after])
        .await;
}

#[test]
fn no_private_address_is_connected_to() {
    let here = tempfile::tempdir().expect("a temporary folder can be made");
    let port = free_port();
    let address = format!("listen.address=127.0.0.1:{port}");
    let server = Solo::start(here.path(), &["serve", "--set", &address]);
    run(async {
        let http = Http::new(&format!("http://127.0.0.1:{port}"));
        server.until_answers(&http).await;
        let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
        let room = alice.create_public_room().await;
        bob.join(&room).await;
        let gateway = Gateway::start().await;
        let failures = || {
            let output = server.process().output();
            output.matches("a push gateway does not take a notification").count()
        };
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"] {
            let (before, pushkey) = (failures(), fresh_name("pushkey"));
            let url = format!("http://{host}:{}/_matrix/push/v1/notify", gateway.port());
            set(&bob, &pushkey, json!({ "url": url })).await;
            alice.say(&room, host).await;
            eventually(PATIENCE, &format!("{host} to be refused"), async || {
                let now = failures();
                (now >= before + 2)
                    .then_some(())
                    .ok_or_else(|| format!("{now} failures, {before} before"))
            })
            .await;
            remove(&bob, &pushkey).await;
        }
        assert_eq!(gateway.connections(), 0, "what may not be connected to was");
    });
}

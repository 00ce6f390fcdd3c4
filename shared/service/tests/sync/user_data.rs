//! Account data, ignored users, and what is unread.

use plexus_core::{
    ids::RoomNid,
    push_rules::Kind,
    row::{Membership, ReceiptKind},
};
use plexus_service::{Requester, push::rules, sync::SyncRequest};
use serde_json::{Value, json};

use crate::world::{Say, World, filtered, since, told};

fn of_room<'a>(world: &World, answer: &'a Value, room: RoomNid) -> &'a Value {
    &answer["rooms"]["join"][world.room_id(room)]
}

fn kinds(section: &Value) -> Vec<&str> {
    let events = section["account_data"]["events"].as_array();
    let mut kinds: Vec<&str> = events
        .into_iter()
        .flatten()
        .filter_map(|event| event["type"].as_str())
        .collect();
    kinds.sort_unstable();
    kinds
}

/// Notifications and highlights.
fn counts(room: &Value) -> (i64, i64) {
    let unread = &room["unread_notifications"];
    let count = |name: &str| unread[name].as_i64().expect("both are always there");
    (count("notification_count"), count("highlight_count"))
}

#[tokio::test]
async fn account_data_is_told_once_and_all_of_it_at_first() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    world.join(room, &bob).await;
    world.account_data(&alice, None, "m.direct", json!({"a": 1})).await;
    world
        .account_data(&alice, Some(room), "m.tag", json!({"tags": {}}))
        .await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    assert_eq!(kinds(&first), ["m.direct", "m.push_rules"]);
    assert_eq!(kinds(of_room(&world, &first, room)), ["m.tag"]);
    assert_eq!(kinds(&world.sync(&bob, SyncRequest::default()).await), ["m.push_rules"]);

    let nothing = world.next(&alice, &first).await;
    assert_eq!(
        (&nothing["rooms"], &nothing["account_data"]),
        (&json!({}), &Value::Null)
    );
    world.account_data(&alice, None, "org.example", json!({})).await;
    let second = world.next(&alice, &first).await;
    assert_eq!(kinds(&second), ["org.example"]);
    assert_eq!(second["rooms"], json!({}));
    world
        .account_data(&alice, Some(room), "m.tag", json!({"tags": {"u.x": {}}}))
        .await;
    let third = world.next(&alice, &second).await;
    assert_eq!(kinds(&third), Vec::<&str>::new());
    let section = of_room(&world, &third, room);
    assert_eq!(kinds(section), ["m.tag"], "though nothing else has happened there");
    assert_eq!(
        section["account_data"]["events"][0]["content"],
        json!({"tags": {"u.x": {}}})
    );
    assert!(told(section).is_empty());
}

#[tokio::test]
async fn filters_choose_among_account_data() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    for kind in ["a.one", "a.two", "b.one"] {
        world.account_data(&alice, None, kind, json!({})).await;
        world.account_data(&alice, Some(room), kind, json!({})).await;
    }
    let filter = json!({
        "account_data": {"types": ["a.*", "m.push_rules"], "not_types": ["a.two", "m.push_rules"]},
        "room": {"account_data": {"types": ["b.*"]}},
    });
    let answer = world.sync(&alice, filtered(&filter, SyncRequest::default())).await;
    assert_eq!(kinds(&answer), ["a.one"]);
    assert_eq!(kinds(of_room(&world, &answer, room)), ["b.one"]);
    let none = json!({"account_data": {"senders": ["@bob:localhost"]}, "room": {"account_data": {"not_rooms": [world.room_id(room)]}}});
    let answer = world.sync(&alice, filtered(&none, SyncRequest::default())).await;
    assert!(kinds(&answer).is_empty());
    assert!(kinds(of_room(&world, &answer, room)).is_empty());
}

#[tokio::test]
async fn a_room_that_is_joined_again_comes_with_its_account_data() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    world.join(room, &bob).await;
    world.account_data(&bob, Some(room), "m.tag", json!({"tags": {}})).await;
    world.member(room, &bob, &bob, Membership::Leave, json!({})).await;
    let first = world.sync(&bob, SyncRequest::default()).await;
    world.join(room, &bob).await;
    let second = world.next(&bob, &first).await;
    assert_eq!(kinds(of_room(&world, &second, room)), ["m.tag"]);
}

#[tokio::test]
async fn who_is_ignored_is_not_heard_but_for_state() {
    let mut world = World::new().await;
    let (alice, bob, carol) = (
        world.user("alice").await,
        world.user("bob").await,
        world.user("carol").await,
    );
    let room = world.room(&alice).await;
    world.join(room, &bob).await;
    world.join(room, &carol).await;
    world.message(room, &bob, "one").await;
    let messages = json!({"room": {"timeline": {"types": ["m.room.message", "m.room.topic"]}}});
    let list = json!({"ignored_users": {"@bob:localhost": {}, "@stranger:elsewhere": {}, "@alice:localhost": {}}});
    world.account_data(&alice, None, "m.ignored_user_list", list).await;
    world.message(room, &carol, "two").await;
    world.set(room, &bob, "m.room.topic", "", json!({"topic": "x"})).await;
    let first = world.sync(&alice, filtered(&messages, SyncRequest::default())).await;
    assert_eq!(told(of_room(&world, &first, room)), ["two", "m.room.topic"]);
    assert_eq!(counts(of_room(&world, &first, room)), (1, 0));
    world.message(room, &bob, "three").await;
    let second = world.sync(&alice, filtered(&messages, since(&first))).await;
    assert_eq!(second["rooms"], json!({}));
    let others = world.room(&bob).await;
    world.member(others, &bob, &alice, Membership::Invite, json!({})).await;
    let third = world.sync(&alice, filtered(&messages, since(&second))).await;
    assert_eq!(third["rooms"], json!({}));
    assert_eq!(
        world.sync(&alice, SyncRequest::default()).await["rooms"]["invite"],
        Value::Null
    );
    world
        .account_data(&alice, None, "m.ignored_user_list", json!({"ignored_users": {}}))
        .await;
    world.message(room, &bob, "four").await;
    let fourth = world.sync(&alice, filtered(&messages, since(&third))).await;
    assert_eq!(told(of_room(&world, &fourth, room)), ["four"]);
    let whole = world.sync(&alice, SyncRequest::default()).await;
    assert!(whole["rooms"]["invite"][world.room_id(others)].is_object());
}

/// A room with two users, and what one of them is told of it now.
struct Pair {
    world: World,
    alice: Requester,
    bob: Requester,
    room: RoomNid,
}

impl Pair {
    async fn new() -> Self {
        let mut world = World::new().await;
        let (alice, bob) = (world.user("alice").await, world.user("bob").await);
        let room = world.room(&alice).await;
        world.message(room, &alice, "before he came").await;
        world.join(room, &bob).await;
        Self {
            world,
            alice,
            bob,
            room,
        }
    }

    /// What Bob has not read.
    async fn unread(&self) -> (i64, i64) {
        let whole = self.world.sync(&self.bob, SyncRequest::default()).await;
        counts(of_room(&self.world, &whole, self.room))
    }

    async fn say(&mut self, content: Value) -> plexus_core::ids::EventNid {
        let say = Say {
            kind: "m.room.message",
            state_key: None,
            content,
            transaction: None,
        };
        self.world.say(self.room, &self.alice, say, None).await
    }
}

/// Whether Bob's rules are the default ones does not matter to what default rules say: either way of counting gives the same.
async fn counting(own_rules: bool) {
    let mut pair = Pair::new().await;
    if own_rules {
        let mut rules = plexus_core::push_rules::server_default(&pair.bob.user_id);
        rules
            .set_enabled(Kind::Underride, ".m.rule.call", false)
            .expect("there is one");
        let content = json!({"global": rules});
        pair.world.account_data(&pair.bob, None, rules::KIND, content).await;
    }
    assert_eq!(pair.unread().await, (0, 0), "nothing from before he came");
    let first = pair.say(json!({"body": "one"})).await;
    pair.say(json!({"body": "two", "msgtype": "m.notice"})).await;
    assert_eq!(pair.unread().await, (1, 0));
    pair.say(json!({"body": "three", "m.mentions": {"user_ids": ["@bob:localhost"]}}))
        .await;
    let edit = json!({"body": "x", "m.mentions": {"user_ids": ["@bob:localhost"]}, "m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}});
    let last = pair.say(edit).await;
    assert_eq!(pair.unread().await, (3, 2));
    let Pair { world, bob, room, .. } = &mut pair;
    world.receipt(*room, bob, ReceiptKind::Read, None, first).await;
    assert_eq!(pair.unread().await, (2, 2));
    let Pair { world, bob, room, .. } = &mut pair;
    world.receipt(*room, bob, ReceiptKind::ReadPrivate, None, last).await;
    assert_eq!(pair.unread().await, (0, 0), "the one that is ahead counts");
    let after = pair.say(json!({"body": "four"})).await;
    assert_eq!(pair.unread().await, (1, 0));
    let profile = json!({"displayname": "Robert"});
    pair.world
        .member(pair.room, &pair.bob, &pair.bob, Membership::Join, profile)
        .await;
    assert_eq!(pair.unread().await, (1, 0), "a new name reads nothing");
    pair.world.message(pair.room, &pair.bob, "mine").await;
    assert_eq!(pair.unread().await, (0, 0), "whoever answers has read");
    pair.world.message(pair.room, &pair.alice, "five").await;
    pair.world
        .receipt(pair.room, &pair.bob, ReceiptKind::Read, None, after)
        .await;
    assert_eq!(pair.unread().await, (1, 0), "a receipt before that changes nothing");
    // More than is looked at one by one, and nothing remembered.
    for number in 0..120 {
        pair.world.message(pair.room, &pair.alice, &number.to_string()).await;
    }
    assert_eq!(pair.unread().await, (121, 0));
    pair.world.ctx.user_memory = plexus_service::UserMemory::default();
    pair.world.ctx.store.drop_mutable_caches();
    assert_eq!(pair.unread().await, (121, 0));
}

#[tokio::test]
async fn unread_events_are_counted_by_the_default_rules() {
    counting(false).await;
}

#[tokio::test]
async fn unread_events_are_counted_by_rules_of_ones_own() {
    counting(true).await;
}

#[tokio::test]
async fn rules_of_ones_own_decide_what_is_counted() {
    let mut pair = Pair::new().await;
    pair.say(json!({"body": "about tea"})).await;
    pair.say(json!({"body": "about coffee"})).await;
    assert_eq!(pair.unread().await, (2, 0));
    let mut rules = plexus_core::push_rules::server_default(&pair.bob.user_id);
    let put = |rules: &mut plexus_core::push_rules::Ruleset, kind, id: &str, rule: Value| {
        let rule = serde_json::from_value(rule).expect("a rule");
        rules
            .put(kind, id, rule, plexus_core::push_rules::Place::default())
            .expect("a good one");
    };
    put(
        &mut rules,
        Kind::Content,
        "tea",
        json!({"pattern": "tea", "actions": ["notify", {"set_tweak": "highlight"}]}),
    );
    put(&mut rules, Kind::Sender, "@alice:localhost", json!({"actions": []}));
    pair.world
        .account_data(&pair.bob, None, rules::KIND, json!({"global": rules}))
        .await;
    assert_eq!(pair.unread().await, (1, 1));
}

#[tokio::test]
async fn threads_are_counted_apart_for_who_asks() {
    let mut pair = Pair::new().await;
    let root = pair.say(json!({"body": "root"})).await;
    let id = pair
        .world
        .ctx
        .store
        .event(root)
        .await
        .expect("it answers")
        .expect("it is there");
    let id = id.body.event_id().as_str().to_owned();
    let in_thread = |body: &str| json!({"body": body, "m.relates_to": {"rel_type": "m.thread", "event_id": id}});
    let reply = pair.say(in_thread("one")).await;
    pair.say(in_thread("two")).await;
    let main = pair.say(json!({"body": "after"})).await;
    let filter = json!({"room": {"timeline": {"unread_thread_notifications": true}}});
    let by_thread = async |pair: &Pair| {
        let whole = pair
            .world
            .sync(&pair.bob, filtered(&filter, SyncRequest::default()))
            .await;
        let told = of_room(&pair.world, &whole, pair.room);
        (
            counts(told),
            told["unread_thread_notifications"][&id]["notification_count"].clone(),
        )
    };
    assert_eq!(pair.unread().await, (4, 0));
    assert_eq!(by_thread(&pair).await, ((2, 0), json!(2)));
    pair.world
        .receipt(pair.room, &pair.bob, ReceiptKind::Read, Some("main"), main)
        .await;
    assert_eq!(by_thread(&pair).await, ((0, 0), json!(2)));
    assert_eq!(pair.unread().await, (2, 0));
    pair.world
        .receipt(pair.room, &pair.bob, ReceiptKind::Read, Some(&id), reply)
        .await;
    assert_eq!(by_thread(&pair).await, ((0, 0), json!(1)));
    pair.world
        .receipt(pair.room, &pair.bob, ReceiptKind::Read, None, main)
        .await;
    assert_eq!(by_thread(&pair).await, ((0, 0), Value::Null));
}

#[tokio::test]
async fn reading_is_news_even_where_receipts_are_not_shown() {
    let mut pair = Pair::new().await;
    let message = pair.say(json!({"body": "one"})).await;
    let filter = json!({"room": {"ephemeral": {"types": []}}});
    let first = pair
        .world
        .sync(&pair.bob, filtered(&filter, SyncRequest::default()))
        .await;
    assert_eq!(counts(of_room(&pair.world, &first, pair.room)), (1, 0));
    pair.world
        .receipt(pair.room, &pair.bob, ReceiptKind::Read, None, message)
        .await;
    let second = pair.world.sync(&pair.bob, filtered(&filter, since(&first))).await;
    assert_eq!(counts(of_room(&pair.world, &second, pair.room)), (0, 0));
    let others = pair.world.sync(&pair.alice, filtered(&filter, since(&first))).await;
    assert_eq!(others["rooms"], json!({}));
}

//! Device lists, key counts and messages to devices.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::poll;
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    set_default_local_recorder,
};
use plexus_core::row::{Membership, Row};
use plexus_service::{Requester, e2e::changes::key_changes, sync::SyncRequest};
use plexus_storage::{
    db::Value,
    device_list_changes, devices, fallback_keys,
    metrics::DB_SECONDS,
    one_time_keys::{self, OneTimeKey},
    to_device,
};
use ruma::{device_id, user_id};
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use crate::world::{World, since, waiting};

/// Far longer than any of this takes.
const DEADLINE: Duration = Duration::from_secs(20);

impl World {
    fn head(&self) -> i64 {
        self.position().get(plexus_core::position::WriterId::MASTER)
    }

    /// What others see of a user's devices changes; `viewer` alone sees it, if there is one.
    async fn change_devices(&mut self, user: &Requester, viewer: Option<&Requester>) {
        let viewer = viewer.map(|viewer| viewer.user);
        let position = Value::Int(self.head() + 1);
        let row = match viewer {
            None => Row::DeviceList { user: user.user },
            Some(viewer) => Row::KeyView {
                user: user.user,
                viewer,
            },
        };
        let statement = device_list_changes::upsert(user.user, viewer, position);
        self.commit(vec![row], vec![statement]).await;
    }

    async fn device(&mut self, user: &Requester) {
        let device = devices::Device {
            device_id: user.device_id.clone(),
            display_name: None,
            created_ms: 1,
        };
        self.commit(Vec::new(), vec![devices::insert(user.user, &device)]).await;
    }

    async fn send_to(&mut self, user: &Requester, sender: &Requester, content: &str) {
        let position = Value::Int(self.head() + 1);
        let (to, device) = (user.user, &user.device_id);
        let statement = to_device::insert(to, device, position, sender.user, "m.test", content.as_bytes());
        let row = Row::ToDevice {
            user: to,
            device: device.clone(),
        };
        self.commit(vec![row], vec![statement]).await;
    }
}

fn lists(answer: &Json) -> (Vec<&str>, Vec<&str>) {
    let list = |name: &str| {
        let users = answer["device_lists"][name].as_array();
        users.into_iter().flatten().filter_map(Json::as_str).collect()
    };
    (list("changed"), list("left"))
}

fn numbers(answer: &Json) -> Vec<i64> {
    let events = answer["to_device"]["events"].as_array();
    let events = events.into_iter().flatten();
    events.filter_map(|event| event["content"]["n"].as_i64()).collect()
}

const ALICE: &str = "@alice:localhost";
const BOB: &str = "@bob:localhost";

#[tokio::test]
async fn who_shares_a_room_is_told_of_changed_devices() {
    let mut world = World::new().await;
    let (alice, bob, carol) = (
        world.user("alice").await,
        world.user("bob").await,
        world.user("carol").await,
    );
    let room = world.room(&alice).await;
    world.join(room, &bob).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    assert_eq!(
        first["device_lists"],
        Json::Null,
        "a device that begins asks for everybody"
    );
    for user in [&bob, &carol, &alice] {
        world.change_devices(user, None).await;
    }
    let next = world.next(&alice, &first).await;
    assert_eq!(lists(&next), (vec![ALICE, BOB], vec![]));
    assert_eq!(lists(&world.next(&alice, &next).await), (vec![], vec![]));
    world.change_devices(&bob, Some(&carol)).await;
    assert_eq!(
        lists(&world.next(&alice, &next).await),
        (vec![], vec![]),
        "carol alone sees that"
    );
    world.change_devices(&bob, Some(&alice)).await;
    assert_eq!(lists(&world.next(&alice, &next).await), (vec![BOB], vec![]));
    // A process that remembers nothing asks the database.
    world.ctx.store.drop_mutable_caches();
    assert_eq!(lists(&world.next(&alice, &first).await), (vec![ALICE, BOB], vec![]));
    let token = |answer: &Json| answer["next_batch"].as_str().expect("a token").to_owned();
    let newest = world.next(&alice, &next).await;
    let found = key_changes(&world.ctx, &alice, &token(&first), &token(&newest)).await;
    let (changed, gone) = found.expect("an answer");
    assert_eq!(
        (changed, gone),
        (
            vec![user_id!("@alice:localhost").into(), user_id!("@bob:localhost").into()],
            vec![]
        )
    );
}

#[tokio::test]
async fn who_comes_is_changed_and_who_goes_has_left() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    let other = world.room(&alice).await;
    let mut told = world.sync(&alice, SyncRequest::default()).await;
    let leave = json!({});
    for remembers in [true, false] {
        let mut step = async |world: &mut World, what: &str| {
            if !remembers {
                world.ctx.store.drop_mutable_caches();
            }
            told = world.next(&alice, &told).await;
            let (changed, left) = lists(&told);
            format!("{what}: {changed:?} {left:?}")
        };
        world.join(room, &bob).await;
        assert_eq!(step(&mut world, "joins").await, format!("joins: [{BOB:?}] []"));
        // The same again, as with a new name.
        world.join(room, &bob).await;
        assert_eq!(step(&mut world, "renames").await, "renames: [] []");
        world.join(other, &bob).await;
        step(&mut world, "joins another").await;
        world.member(room, &bob, &bob, Membership::Leave, leave.clone()).await;
        assert_eq!(step(&mut world, "leaves one").await, "leaves one: [] []");
        world.member(other, &bob, &bob, Membership::Leave, leave.clone()).await;
        assert_eq!(step(&mut world, "leaves").await, format!("leaves: [] [{BOB:?}]"));
        world.change_devices(&bob, None).await;
        assert_eq!(step(&mut world, "is gone").await, "is gone: [] []");
        // In and out between two answers.
        world.join(room, &bob).await;
        world.member(room, &bob, &bob, Membership::Leave, leave.clone()).await;
        assert_eq!(step(&mut world, "looks in").await, "looks in: [] []");
    }
}

#[tokio::test]
async fn who_joins_learns_of_all_members_and_who_leaves_of_none() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    let first = world.sync(&bob, SyncRequest::default()).await;
    world.join(room, &bob).await;
    let second = world.next(&bob, &first).await;
    assert_eq!(lists(&second), (vec![ALICE], vec![]));
    world.member(room, &alice, &bob, Membership::Leave, json!({})).await;
    assert_eq!(lists(&world.next(&bob, &second).await), (vec![], vec![ALICE]));
}

#[tokio::test]
async fn messages_are_told_in_order_until_the_device_has_them() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.device(&alice).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    assert_eq!(first["to_device"], Json::Null);
    for n in 0..250 {
        world.send_to(&alice, &bob, &json!({"n": n}).to_string()).await;
    }
    world.send_to(&alice, &bob, "no JSON").await;
    world.send_to(&alice, &bob, r#"{"n": 250}"#).await;
    let mut told = first;
    for range in [0..100, 100..200, 200..251] {
        let expected: Vec<i64> = range.collect();
        // An answer that is lost on the way is given again.
        assert_eq!(numbers(&world.next(&alice, &told).await), expected);
        told = world.sync(&alice, waiting(since(&told))).await;
        assert_eq!(numbers(&told), expected);
    }
    let event = json!({"content": {"n": 250}, "sender": BOB, "type": "m.test"});
    assert_eq!(told["to_device"]["events"][50], event);
    assert_eq!(numbers(&world.next(&alice, &told).await), Vec::<i64>::new());
    // The master of these tests removes nothing, and is not asked for more than that.
    let tablet = Requester {
        device_id: device_id!("TABLET").to_owned(),
        ..alice.clone()
    };
    assert_eq!(
        world.sync(&tablet, SyncRequest::default()).await["to_device"],
        Json::Null
    );
}

#[tokio::test]
async fn a_claimed_key_wakes_the_device_and_is_not_counted() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    world.device(&alice).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    assert_eq!(first["device_one_time_keys_count"], json!({"signed_curve25519": 0}));
    assert_eq!(first["device_unused_fallback_key_types"], json!([]));
    let key = |id: &str| OneTimeKey {
        algorithm: "signed_curve25519".to_owned(),
        key_id: id.to_owned(),
        json: "{}".into(),
    };
    let counts = Row::KeyCounts {
        user: alice.user,
        device: alice.device_id.clone(),
    };
    let device = alice.device_id.clone();
    let added = vec![
        one_time_keys::insert(alice.user, &device, &key("a"), Value::Int(1)),
        one_time_keys::insert(alice.user, &device, &key("b"), Value::Int(1)),
        fallback_keys::upsert(alice.user, &device, &key("f")),
    ];
    world.commit(vec![counts.clone()], added).await;
    let second = world.sync(&alice, waiting(since(&first))).await;
    assert_eq!(second["device_one_time_keys_count"], json!({"signed_curve25519": 2}));
    assert_eq!(second["device_unused_fallback_key_types"], json!(["signed_curve25519"]));
    let ctx = world.ctx.clone();
    let mut answer = pin!(timeout(
        DEADLINE,
        plexus_service::sync::sync(&ctx, &alice, waiting(since(&second)))
    ));
    assert!(poll!(&mut answer).is_pending());
    let taken = one_time_keys::take(alice.user, &device, "signed_curve25519", "a");
    world.commit(vec![counts], vec![taken]).await;
    let third = answer.await.expect("in time").expect("an answer");
    let third: Json = serde_json::from_slice(&third.0).expect("JSON");
    assert_eq!(third["device_one_time_keys_count"], json!({"signed_curve25519": 1}));
}

/// Counts queries.
struct Queries(Arc<AtomicUsize>);

struct Query(Arc<AtomicUsize>);

impl HistogramFn for Query {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Recorder for Queries {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        if key.name() == DB_SECONDS {
            Histogram::from_arc(Arc::new(Query(Arc::clone(&self.0))))
        } else {
            Histogram::noop()
        }
    }
}

#[tokio::test]
async fn a_warm_device_without_news_costs_no_query() {
    let count = Arc::new(AtomicUsize::new(0));
    let recorder = Queries(Arc::clone(&count));
    let _counting = set_default_local_recorder(&recorder);
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.device(&alice).await;
    let room = world.room(&alice).await;
    world.join(room, &bob).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    let warm = world.next(&alice, &first).await;
    assert!(
        count.load(Ordering::SeqCst) > 0,
        "the queries of the first syncs were counted"
    );
    world.message(room, &bob, "news, but not of keys").await;
    let before = count.load(Ordering::SeqCst);
    let news = world.next(&alice, &warm).await;
    assert!(news["rooms"]["join"].is_object());
    world.next(&alice, &news).await;
    world.next(&alice, &news).await;
    assert_eq!(count.load(Ordering::SeqCst), before);
}

//! Account data and highlights.

use plexus_core::{
    ids::{RoomNid, UserNid},
    room_version::RoomVersion,
    row::Row,
};
use plexus_storage::{
    account_data,
    db::Value,
    events::NewEventRow,
    highlights::{self, Highlights},
};
use serde_json::value::{RawValue, to_raw_value};

use crate::support::{World, message, worlds};

const ALICE: UserNid = UserNid(1);
const BOB: UserNid = UserNid(2);
const ROOM: RoomNid = RoomNid(7);

fn raw(text: &str) -> Box<RawValue> {
    to_raw_value(text).unwrap()
}

async fn set(world: &World, room: Option<RoomNid>, kind: &str, position: i64, text: &str) {
    let statement = account_data::upsert(ALICE, room, kind, Value::Int(position), &raw(text));
    world.write([statement]).await;
}

fn hear(world: &World, room: Option<RoomNid>, kind: &str, position: i64) {
    let row = Row::AccountData {
        user: ALICE,
        room,
        kind: kind.to_owned(),
    };
    world.apply(position, &row);
}

#[tokio::test]
async fn account_data_is_read_as_it_was_set_last() {
    for world in worlds().await {
        let store = &world.store;
        let text = async |room, kind| {
            let entry = store.account_data(ALICE, room, kind).await.unwrap();
            entry.map(|entry| entry.content.get().to_owned())
        };
        assert_eq!(text(None, "m.direct").await, None);
        set(&world, None, "m.direct", 5, "one").await;
        assert_eq!(text(None, "m.direct").await, None, "its row has not come");
        hear(&world, None, "m.direct", 5);
        assert_eq!(text(None, "m.direct").await.as_deref(), Some("\"one\""));
        set(&world, Some(ROOM), "m.direct", 6, "of the room").await;
        set(&world, None, "m.direct", 7, "two").await;
        hear(&world, Some(ROOM), "m.direct", 6);
        hear(&world, None, "m.direct", 7);
        assert_eq!(text(None, "m.direct").await.as_deref(), Some("\"two\""));
        assert_eq!(text(Some(ROOM), "m.direct").await.as_deref(), Some("\"of the room\""));
        let between = async |after, up_to| {
            let entries = store.account_data_between(ALICE, after, up_to).await.unwrap();
            entries
                .iter()
                .map(|entry| (entry.room, entry.position))
                .collect::<Vec<_>>()
        };
        assert_eq!(between(0, 9).await, [(Some(ROOM), 6), (None, 7)]);
        assert_eq!(between(6, 9).await, [(None, 7)]);
        assert_eq!(between(0, 6).await, [(Some(ROOM), 6)]);
        assert_eq!(store.account_data_of_room(ALICE, ROOM).await.unwrap().len(), 1);
        assert_eq!(store.account_data_of_room(BOB, ROOM).await.unwrap().len(), 0);
        assert_eq!(store.account_data_kinds(ALICE, Some(ROOM)).await.unwrap(), 1);
        assert_eq!(store.account_data_kinds(ALICE, Some(RoomNid(8))).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn who_has_changed_nothing_is_known_without_asking() {
    for world in worlds().await {
        let store = &world.store;
        assert_eq!(
            store.account_data_changed(ALICE),
            i64::MAX,
            "nothing has been heard yet"
        );
        world.apply(4, &Row::Profile { user: BOB });
        assert_eq!(
            (store.account_data_changed(ALICE), store.account_data_changed(BOB)),
            (3, 3)
        );
        hear(&world, None, "m.direct", 5);
        assert_eq!(
            (store.account_data_changed(ALICE), store.account_data_changed(BOB)),
            (5, 3)
        );
        store.drop_mutable_caches();
        assert_eq!(store.account_data_changed(ALICE), i64::MAX);
    }
}

#[tokio::test]
async fn highlights_are_counted_for_one_and_for_everybody() {
    for world in worlds().await {
        let at = |user, position, notifies| highlights::insert(ROOM, user, Value::Int(position), notifies);
        world
            .write([
                at(None, 5, false),
                at(Some(ALICE), 6, false),
                at(Some(ALICE), 7, true),
                at(Some(BOB), 7, true),
            ])
            .await;
        let count = async |after, up_to| world.store.highlights(ROOM, ALICE, after, up_to).await.unwrap();
        let counted = |highlighting, notifying| Highlights {
            highlighting,
            notifying,
        };
        assert_eq!(count(0, 9).await, counted(3, 1));
        assert_eq!(count(5, 9).await, counted(2, 1));
        assert_eq!(count(5, 6).await, counted(1, 0));
        assert_eq!(count(7, 9).await, counted(0, 0));
    }
}

#[tokio::test]
async fn the_last_word_of_a_member_is_found() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V10).await;
        for nid in 1..=6 {
            let event = NewEventRow {
                sender: UserNid(if nid == 3 { 2 } else { 1 }),
                ..message(&room, nid)
            };
            world.persist(&event, 10 + nid).await;
        }
        let last = async |range, looked_back| {
            let found = world.store.last_sent(room.nid, BOB, range, looked_back).await;
            found.unwrap()
        };
        assert_eq!(last((0, 100), 100).await, Some((13, 3)));
        assert_eq!(last((13, 100), 100).await, None);
        assert_eq!(last((0, 12), 100).await, None);
        assert_eq!(last((0, 100), 3).await, None, "it is the fourth from the end");
        let event = world.store.event(plexus_core::ids::EventNid(4)).await.unwrap().unwrap();
        assert_eq!(event.notifying, 4);
    }
}

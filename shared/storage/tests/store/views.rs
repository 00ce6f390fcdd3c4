//! Memberships and receipts: views of the newest rows, and what was so at a place.

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
    room_version::RoomVersion,
    row::{Membership, ReceiptKind, ReceiptRow, Row},
};
use plexus_storage::{Store, db::Value, memberships::RoomMembership, receipts};

use crate::support::{begin, event_id, finish, worlds};

async fn membership(store: &Store, user: i64, room: RoomNid, at: Sequence) -> Option<(Membership, Sequence)> {
    let found = store.membership_at(UserNid(user), room, at).await.unwrap();
    found.map(
        |RoomMembership {
             membership,
             event,
             position,
             ..
         }| {
            assert_eq!(event.0, position);
            (membership, position)
        },
    )
}

#[tokio::test]
async fn a_membership_is_known_at_every_place() {
    for world in worlds().await {
        let (room, other) = (
            world.room(1, RoomVersion::V12).await,
            world.room(2, RoomVersion::V12).await,
        );
        let history = [
            (2, Membership::Invite),
            (4, Membership::Join),
            (6, Membership::Leave),
            (8, Membership::Ban),
            (9, Membership::Knock),
        ];
        for (position, membership) in history {
            world.persist_member(&room, 7, membership, position).await;
        }
        world.persist_member(&other, 7, Membership::Join, 5).await;
        let expected = |at| {
            history
                .into_iter()
                .rev()
                .find(|(position, _)| *position <= at)
                .map(|(at, what)| (what, at))
        };
        for at in 0..=10 {
            assert_eq!(membership(&world.store, 7, room.nid, at).await, expected(at), "at {at}");
        }
        assert_eq!(membership(&world.store, 8, room.nid, 9).await, None);
        assert_eq!(membership(&world.store, 7, RoomNid(3), 9).await, None);
    }
}

#[tokio::test]
async fn both_views_follow_the_rows() {
    for world in worlds().await {
        let (room, other) = (
            world.room(1, RoomVersion::V12).await,
            world.room(2, RoomVersion::V12).await,
        );
        world.persist_member(&room, 7, Membership::Join, 1).await;
        world.persist_member(&other, 8, Membership::Invite, 2).await;
        let store = &world.store;
        let rooms = store.user_rooms(UserNid(7)).await.unwrap();
        let members = store.room_members(other.nid).await.unwrap();
        assert_eq!((rooms.joined(), members.joined(), members.invited()), (1, 0, 1));

        // From rows alone: the history in the database does not have them.
        world.hear_member(&other, 7, Membership::Join, 3);
        world.hear_member(&other, 8, Membership::Join, 4);
        world.hear_member(&room, 7, Membership::Leave, 5);
        let joined = |rooms: &plexus_storage::memberships::UserRooms| {
            rooms.with(Membership::Join).map(|(room, _)| room).collect::<Vec<_>>()
        };
        assert_eq!(joined(&store.user_rooms(UserNid(7)).await.unwrap()), [other.nid]);
        assert_eq!(store.room_members(other.nid).await.unwrap().joined(), 2);
        // What a reader holds does not change under him.
        assert_eq!((joined(&rooms), members.joined()), (vec![room.nid], 0));
        assert_eq!(membership(store, 7, room.nid, 5).await, Some((Membership::Leave, 5)));
    }
}

#[tokio::test]
async fn a_view_at_a_place_leaves_out_what_came_later() {
    for world in worlds().await {
        let (room, other) = (
            world.room(1, RoomVersion::V12).await,
            world.room(2, RoomVersion::V12).await,
        );
        world.persist_member(&room, 7, Membership::Invite, 1).await;
        world.persist_member(&room, 8, Membership::Join, 2).await;
        // The database is ahead of this process, which is at 2.
        world.persist_member(&room, 7, Membership::Join, 3).await;
        world.persist_member(&other, 7, Membership::Join, 4).await;
        let store = &world.store;
        let rooms = store.user_rooms_at(UserNid(7), 2).await.unwrap();
        let entries: Vec<_> = rooms.iter().map(|(room, entry)| (room, entry.membership)).collect();
        assert_eq!(entries, [(room.nid, Membership::Invite)]);
        let members = store.room_members_at(room.nid, 2).await.unwrap();
        assert_eq!((members.joined(), members.invited(), members.last_change()), (1, 1, 2));

        world.hear_member(&room, 7, Membership::Join, 3);
        world.hear_member(&other, 7, Membership::Join, 4);
        assert_eq!(store.user_rooms_at(UserNid(7), 4).await.unwrap().joined(), 2);
        assert_eq!(store.user_rooms_at(UserNid(7), 3).await.unwrap().joined(), 1);
        assert_eq!(store.room_members_at(room.nid, 3).await.unwrap().joined(), 2);
    }
}

#[tokio::test]
async fn a_join_during_a_load_is_not_forgotten() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        let store = &world.store;
        let rooms = begin(store.user_rooms(UserNid(7))).await;
        let members = begin(store.room_members(room.nid)).await;
        world.persist_member(&room, 7, Membership::Join, 1).await;
        world.hear_member(&room, 7, Membership::Join, 1);
        finish(rooms).await.unwrap();
        finish(members).await.unwrap();
        assert_eq!(store.user_rooms(UserNid(7)).await.unwrap().joined(), 1);
        assert_eq!(store.room_members(room.nid).await.unwrap().joined(), 1);
    }
}

fn receipt(room: RoomNid, user: i64, thread: Option<&str>, event: i64) -> ReceiptRow {
    ReceiptRow {
        room,
        user: UserNid(user),
        kind: ReceiptKind::Read,
        thread: thread.map(str::to_owned),
        event_id: event_id(RoomVersion::V12, event),
        ts_ms: event,
    }
}

async fn receipts_between(store: &Store, room: RoomNid, after: Sequence, up_to: Sequence) -> Vec<(Sequence, i64, i64)> {
    let receipts = store.receipts(room).await.unwrap();
    let new = receipts.between(after, up_to);
    new.map(|(position, receipt)| (position, receipt.user.0, receipt.ts_ms))
        .collect()
}

#[tokio::test]
async fn receipts_move_and_keep_their_place() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        let store = &world.store;
        let private = ReceiptRow {
            kind: ReceiptKind::ReadPrivate,
            ..receipt(room.nid, 1, None, 11)
        };
        let written = [
            receipt(room.nid, 1, None, 10),
            private.clone(),
            receipt(room.nid, 1, Some("main"), 12),
            receipt(room.nid, 2, None, 13),
            receipt(room.nid, 1, None, 14),
        ];
        world
            .write(
                written
                    .iter()
                    .zip(1..)
                    .map(|(row, at)| receipts::upsert(row, Value::Int(at))),
            )
            .await;
        let all = [(2, 1, 11), (3, 1, 12), (4, 2, 13), (5, 1, 14)];
        assert_eq!(receipts_between(store, room.nid, 0, 9).await, all);
        assert_eq!(receipts_between(store, room.nid, 2, 4).await, all[1..3]);
        let receipts = store.receipts(room.nid).await.unwrap();
        let (position, found) = receipts.get(UserNid(1), ReceiptKind::ReadPrivate, None).unwrap();
        assert_eq!(
            (position, &found.event_id, &found.thread),
            (2, &private.event_id, &None)
        );
        let (_, found) = receipts.get(UserNid(1), ReceiptKind::Read, Some("main")).unwrap();
        assert_eq!(found.thread.as_deref(), Some("main"));

        world.apply(6, &Row::Receipt(receipt(room.nid, 2, None, 16)));
        assert_eq!(receipts_between(store, room.nid, 3, 9).await, [(5, 1, 14), (6, 2, 16)]);
        assert_eq!(store.last_change(room.nid), 6);
    }
}

#[tokio::test]
async fn a_receipt_during_a_load_is_not_forgotten() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        let load = begin(world.store.receipts(room.nid)).await;
        let row = receipt(room.nid, 1, None, 10);
        world.write([receipts::upsert(&row, Value::Int(1))]).await;
        world.apply(1, &Row::Receipt(row));
        finish(load).await.unwrap();
        assert_eq!(receipts_between(&world.store, room.nid, 0, 1).await, [(1, 1, 10)]);
    }
}

#[tokio::test]
async fn typing_is_what_the_ephemeral_chain_last_said() {
    for world in worlds().await {
        let room = RoomNid(1);
        assert_eq!(world.store.typing(room).position, 0);
        world.apply(
            3,
            &Row::Typing {
                room,
                users: vec![UserNid(5), UserNid(6)],
            },
        );
        let typing = world.store.typing(room);
        assert_eq!((typing.position, &*typing.users), (3, &[UserNid(5), UserNid(6)][..]));
        // It has a chain of its own, so it says nothing about the room's.
        assert_eq!(world.store.last_change(room), Sequence::MAX);
        world.store.enter_ephemeral_epoch(2);
        assert_eq!(world.store.typing(room).position, 0);
    }
}

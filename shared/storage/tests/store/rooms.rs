//! Aliases, the directory and forgotten rooms.

use plexus_core::{
    ids::{NodeId, RoomNid, UserNid},
    room_version::RoomVersion,
    row::{Membership, Row},
};
use plexus_storage::{
    db::{Statement, Value},
    forgotten_rooms, room_aliases,
    room_aliases::RoomAlias,
    room_directory::{self, DirectoryPlace, PAGE_MAX},
    room_heads::{self, RoomHead, RoomSize},
};
use ruma::room_alias_id;

use crate::support::worlds;

fn head(room: RoomNid, joined: i64) -> Statement {
    let head = RoomHead {
        extremities: Vec::new(),
        room_order: 1,
        depth: 1,
        room_root: NodeId(room.0),
        next_node: NodeId(9),
        joined,
        invited: 1,
    };
    room_heads::upsert(room, &head)
}

#[tokio::test]
async fn an_alias_leads_to_one_room_until_it_is_moved_or_deleted() {
    for world in worlds().await {
        let (old, new) = (
            world.room(1, RoomVersion::V11).await,
            world.room(2, RoomVersion::V12).await,
        );
        let (one, two) = (room_alias_id!("#b☕:x"), room_alias_id!("#a:x"));
        let stands_for = |room| {
            Some(RoomAlias {
                room,
                creator: UserNid(7),
            })
        };
        world
            .write([
                room_aliases::insert(one, old.nid, UserNid(7)),
                room_aliases::insert(two, old.nid, UserNid(7)),
            ])
            .await;
        assert!(world.refuses([room_aliases::insert(one, new.nid, UserNid(8))]).await);
        assert_eq!(world.store.room_alias(one).await.unwrap(), stands_for(old.nid));
        assert_eq!(world.store.room_aliases(old.nid).await.unwrap(), [two, one]);
        world.write([room_aliases::move_all(old.nid, new.nid)]).await;
        assert_eq!(world.store.room_alias(two).await.unwrap(), stands_for(new.nid));
        assert!(world.store.room_aliases(old.nid).await.unwrap().is_empty());
        world.write([room_aliases::delete(one)]).await;
        assert_eq!(world.store.room_alias(one).await.unwrap(), None);
        assert!(world.refuses([room_aliases::delete(one)]).await);
    }
}

#[tokio::test]
async fn the_directory_has_larger_rooms_first_and_pages_both_ways() {
    for world in worlds().await {
        let count = 3 * (PAGE_MAX / 2 - 10);
        let mut statements = Vec::new();
        for nid in 1..=count {
            let room = world.room(nid, RoomVersion::V12).await;
            statements.extend([head(room.nid, nid % 3), room_directory::update(room.nid, true)]);
        }
        world.write(statements).await;
        let store = &world.store;
        assert_eq!(store.directory_size().await.unwrap(), 2 * count / 3);
        assert!(store.is_listed(RoomNid(1)).await.unwrap());
        let mut wanted: Vec<(i64, i64)> = (1..=count)
            .map(|nid| (nid % 3, nid))
            .filter(|(joined, _)| *joined > 0)
            .collect();
        wanted.sort_unstable_by_key(|(joined, nid)| (-joined, *nid));
        let key = |size: &RoomSize| (size.joined, size.room.0);
        let place = |(joined, nid): (i64, i64)| DirectoryPlace {
            joined,
            room: RoomNid(nid),
        };
        let all: Vec<_> = store.directory_after(None).await.unwrap().iter().map(key).collect();
        assert_eq!(all, wanted, "rooms without members are left out");
        let after: Vec<_> = store
            .directory_after(Some(place(wanted[4])))
            .await
            .unwrap()
            .iter()
            .map(key)
            .collect();
        assert_eq!(after, wanted[5..]);
        let before = store.directory_before(place(wanted[4])).await.unwrap();
        let mut before: Vec<_> = before.iter().map(key).collect();
        before.reverse();
        assert_eq!(before, wanted[..4]);
        world.write([room_directory::update(RoomNid(1), false)]).await;
        assert!(!store.is_listed(RoomNid(1)).await.unwrap());
        let sizes = store.room_sizes(&[RoomNid(2), RoomNid(count + 1)]).await.unwrap();
        let expected = RoomSize {
            room: RoomNid(2),
            joined: 2,
            invited: 1,
            root: NodeId(2),
        };
        assert_eq!(sizes, [expected]);
    }
}

#[tokio::test]
async fn a_forgotten_room_stays_forgotten_until_the_user_is_something_to_it_again() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        let forgotten = async |store: &plexus_storage::Store| {
            let rooms = store.user_rooms(UserNid(7)).await.unwrap();
            rooms.get(room.nid).map(|entry| entry.forgotten)
        };
        world.persist_member(&room, 7, Membership::Leave, 3).await;
        assert_eq!(forgotten(&world.store).await, Some(false));
        world
            .write([forgotten_rooms::upsert(UserNid(7), room.nid, Value::Int(4))])
            .await;
        let row = Row::Forgotten {
            user: UserNid(7),
            room: room.nid,
        };
        world.apply(4, &row);
        assert_eq!(forgotten(&world.store).await, Some(true));
        assert_eq!(forgotten(&world.other_process()).await, Some(true), "as it is read");
        let members = world.store.room_members(room.nid).await.unwrap();
        assert_eq!(members.get(UserNid(7)).map(|entry| entry.forgotten), Some(false));
        world.persist_member(&room, 7, Membership::Invite, 5).await;
        world.hear_member(&room, 7, Membership::Invite, 5);
        assert_eq!(forgotten(&world.store).await, Some(false));
        assert_eq!(forgotten(&world.other_process()).await, Some(false));
        // The row says nothing about somebody who is not out of the room.
        world.apply(6, &row);
        assert_eq!(forgotten(&world.store).await, Some(false));
    }
}

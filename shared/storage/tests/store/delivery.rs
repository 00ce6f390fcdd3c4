//! How far other servers have been told, and who they are.

use plexus_core::{
    ids::{RoomNid, UserNid},
    room_version::RoomVersion,
    row::{Membership, Row, StateRow},
};
use plexus_storage::{
    RoomServers, db::Value, delivery::Lag, destinations::Failing, device_list_changes, outgoing_device_changes,
    outgoing_to_device, users,
};
use ruma::{ServerName, device_id, server_name, user_id};

use crate::support::{World, worlds};

fn names(servers: &RoomServers) -> Vec<&str> {
    servers.iter().map(ServerName::as_str).collect()
}

async fn people(world: &World) {
    world
        .write([
            users::insert(UserNid(1), user_id!("@a:here.example")),
            users::insert(UserNid(2), user_id!("@b:two.example")),
            users::insert(UserNid(3), user_id!("@c:two.example")),
            users::insert(UserNid(4), user_id!("@d:three.example")),
        ])
        .await;
}

#[tokio::test]
async fn the_servers_of_a_room_are_those_of_its_members() {
    for world in worlds().await {
        people(&world).await;
        let room = world.room(1, RoomVersion::V11).await;
        let servers = async |at: Option<i64>| match at {
            Some(at) => world.store.room_servers_at(room.nid, at).await.unwrap(),
            None => world.store.room_servers(room.nid).await.unwrap(),
        };
        for (user, membership, position) in [
            (1, Membership::Join, 10),
            (2, Membership::Join, 20),
            (3, Membership::Invite, 30),
        ] {
            world.persist_member(&room, user, membership, position).await;
            world.hear_member(&room, user, membership, position);
        }
        assert_eq!(names(&*servers(None).await), ["here.example", "two.example"]);
        for (user, membership, position) in [
            (2, Membership::Ban, 40),
            (3, Membership::Join, 50),
            (3, Membership::Leave, 60),
            (4, Membership::Join, 70),
        ] {
            world.persist_member(&room, user, membership, position).await;
            world.hear_member(&room, user, membership, position);
        }
        assert_eq!(names(&*servers(None).await), ["here.example", "three.example"]);
        // As it was, though more is known by now.
        for (at, wanted) in [
            (9, &[][..]),
            (10, &["here.example"]),
            (39, &["here.example", "two.example"]),
            (40, &["here.example"]),
            (59, &["here.example", "two.example"]),
            (60, &["here.example"]),
            (70, &["here.example", "three.example"]),
        ] {
            assert_eq!(names(&*servers(Some(at)).await), wanted, "at {at}");
        }
        // By resolution, and where the event is not at hand.
        let event = world
            .store
            .room_members(room.nid)
            .await
            .unwrap()
            .get(UserNid(4))
            .unwrap()
            .event;
        let gone = StateRow {
            room: room.nid,
            memberships: vec![(UserNid(4), Membership::Leave, event)],
        };
        world.apply(80, &Row::State(gone));
        assert_eq!(names(&*servers(None).await), ["here.example"]);
        let rooms = async |server| world.store.rooms_of_server(server).await.unwrap();
        assert_eq!(rooms(server_name!("two.example")).await, [RoomNid(1)]);
        assert_eq!(rooms(server_name!("four.example")).await, []);
        let last = world
            .store
            .last_member_change_of_server(room.nid, server_name!("two.example"));
        assert_eq!(last.await.unwrap(), Some(60));
        let known = world
            .store
            .known_servers(Some(server_name!("here.example")), 5)
            .await
            .unwrap();
        assert_eq!(known, ["three.example", "two.example"]);
        let joined = world
            .store
            .joins_of_server(room.nid, server_name!("two.example"), (20, 60), 5);
        assert_eq!(joined.await.unwrap(), [UserNid(3)]);
    }
}

#[tokio::test]
async fn a_lag_is_forgotten_only_by_who_knows_as_much() {
    for world in worlds().await {
        let store = &world.store;
        let (one, two) = (server_name!("one.example"), server_name!("two.example"));
        let lag = |since, noted| Lag {
            server: one.to_owned(),
            since,
            noted,
        };
        store.note_delivery_lag(3, &lag(10, 20)).await.unwrap();
        store.note_delivery_lag(3, &lag(15, 30)).await.unwrap();
        assert_eq!(store.delivery_lag(one).await.unwrap(), Some(lag(10, 30)));
        assert_eq!(store.delivery_lags(3, None, 10).await.unwrap(), [lag(10, 30)]);
        assert_eq!(store.delivery_lags(4, None, 10).await.unwrap(), []);
        // Due as long as nobody says that it does not answer, and again when its time has come.
        let due = async |now| store.due_deliveries(None, now, 10).await.unwrap();
        assert_eq!(due(0).await, [one]);
        let failing = Failing {
            since_ms: 1,
            retry_at_ms: 100,
            interval_ms: 99,
        };
        store.note_failing_destination(one, &failing, 1).await.unwrap();
        store.note_failing_destination(two, &failing, 1).await.unwrap();
        assert_eq!(due(99).await.len(), 0);
        assert_eq!(due(100).await, [one]);
        store.forget_delivery_lag(one, 29).await.unwrap();
        assert!(store.delivery_lag(one).await.unwrap().is_some());
        store.forget_delivery_lag(one, 30).await.unwrap();
        assert_eq!(store.delivery_lag(one).await.unwrap(), None);
    }
}

#[tokio::test]
async fn cursors_only_move_forward() {
    for world in worlds().await {
        let store = &world.store;
        store.move_delivery_cursors(&[]).await.unwrap();
        store.move_delivery_cursors(&[(1, 10), (2, 20)]).await.unwrap();
        store.move_delivery_cursors(&[(1, 5), (2, 25)]).await.unwrap();
        assert_eq!(store.delivery_cursors().await.unwrap(), [(1, 10), (2, 25)]);
    }
}

#[tokio::test]
async fn messages_to_devices_wait_for_their_server() {
    for world in worlds().await {
        people(&world).await;
        let (store, server) = (&world.store, server_name!("two.example"));
        let insert = |at: i64| {
            let content = (&*format!("m{at}"), b"{}".as_slice());
            outgoing_to_device::insert(server, Value::Int(at), UserNid(1), "m.test", content)
        };
        world.write((1..=5).map(insert)).await;
        let waiting = store.outgoing_to_device(server, 1, 4, 2).await.unwrap();
        let ids: Vec<_> = waiting.iter().map(|waiting| waiting.message_id.as_str()).collect();
        assert_eq!(ids, ["m2", "m3"]);
        store.forget_outgoing_to_device(server, vec![1, 3]).await.unwrap();
        assert_eq!(store.outgoing_to_device_places(server, 4).await.unwrap(), [2, 4]);
        assert_eq!(store.bound_outgoing_to_device(server).await.unwrap(), 0);
        let many = (6..=outgoing_to_device::WAITING_MAX + 5).map(insert);
        world.write(many).await;
        assert_eq!(store.bound_outgoing_to_device(server).await.unwrap(), 3);
        let left = store.outgoing_to_device_places(server, i64::MAX).await.unwrap();
        assert_eq!((left.len(), left[0]), (20_000, 6));
    }
}

#[tokio::test]
async fn changes_of_devices_name_the_one_before() {
    for world in worlds().await {
        people(&world).await;
        let (store, user) = (&world.store, UserNid(1));
        // A build that did not know of the chain has left this.
        world
            .write([device_list_changes::upsert(user, None, Value::Int(5))])
            .await;
        assert_eq!(store.device_stream_id(user).await.unwrap(), 5);
        for (device, at) in [
            (Some(device_id!("PHONE")), 10),
            (None, 20),
            (Some(device_id!("TABLET")), 30),
            (Some(device_id!("PHONE")), 40),
        ] {
            let at = Value::Int(at);
            world
                .write([
                    outgoing_device_changes::upsert(user, device, at.clone()),
                    device_list_changes::upsert(user, None, at),
                ])
                .await;
        }
        let changes = store.device_changes(0, 40, 10).await.unwrap();
        let chain: Vec<_> = changes
            .iter()
            .map(|change| (change.position, change.device_id.as_deref(), change.previous))
            .collect();
        assert_eq!(
            chain,
            [
                (20, None, Some(10)),
                (30, Some("TABLET"), Some(10)),
                (40, Some("PHONE"), Some(30))
            ]
        );
        assert_eq!(store.device_stream_id(user).await.unwrap(), 40);
        assert_eq!(store.device_change(user, 10).await.unwrap(), None);
        let last = store.last_device_change(user).await.unwrap().unwrap();
        assert_eq!(last, store.device_change(user, 40).await.unwrap().unwrap());
    }
}

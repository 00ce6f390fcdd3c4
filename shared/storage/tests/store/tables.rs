//! Each table by itself: what is written is what is read.

use plexus_core::{
    ids::{EventNid, NodeId, StateKeyNid, UserNid},
    room_version::RoomVersion,
    row::Row,
};
use plexus_storage::{
    accounts::{self, Account, Standing},
    commands,
    db::Value,
    devices::{self, Device},
    events,
    media::{MediaContent, MediaToCome},
    nids::{NextNids, next_nids},
    profiles,
    room_heads::{self, RoomHead},
    state_keys,
    tasks::{self, Task},
    thumbnails::{Thumbnail, ThumbnailKey},
    users,
};
use ruma::{device_id, room_id, user_id};
use serde_json::value::RawValue;

use crate::support::{message, worlds};

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

#[tokio::test]
async fn users_and_accounts() {
    for world in worlds().await {
        let store = &world.store;
        let (alice, bob) = (user_id!("@alice:x"), user_id!("@bob:y"));
        assert_eq!(store.user_nid(alice).await.unwrap(), None);
        let account = Account {
            user: UserNid(1),
            password_hash: Some("$argon2id$".to_owned()),
            admin: true,
            guest: false,
            deactivated: false,
            standing: Standing::default(),
            created_ms: 5,
        };
        world
            .write([
                users::insert(UserNid(1), alice),
                users::insert(UserNid(2), bob),
                accounts::insert(&account),
            ])
            .await;
        assert_eq!(store.user_nid(alice).await.unwrap(), Some(UserNid(1)));
        assert_eq!(store.user_id(UserNid(2)).await.unwrap().as_deref(), Some(bob));
        let ids = store
            .user_ids(&[UserNid(3), UserNid(2), UserNid(1), UserNid(2)])
            .await
            .unwrap();
        let ids: Vec<_> = ids.iter().map(|id| id.as_deref()).collect();
        assert_eq!(ids, [None, Some(bob), Some(alice), Some(bob)]);
        assert_eq!(store.account(UserNid(1)).await.unwrap().as_deref(), Some(&account));
        assert_eq!(store.account(UserNid(2)).await.unwrap(), None);
        assert!(world.refuses([users::insert(UserNid(9), alice)]).await);
    }
}

#[tokio::test]
async fn an_account_that_was_not_there_is_found_once_its_row_arrives() {
    for world in worlds().await {
        let user = UserNid(1);
        assert_eq!(world.store.account(user).await.unwrap(), None);
        let account = Account {
            user,
            password_hash: None,
            admin: false,
            guest: false,
            deactivated: false,
            standing: Standing::default(),
            created_ms: 5,
        };
        world
            .write([users::insert(user, user_id!("@a:x")), accounts::insert(&account)])
            .await;
        assert_eq!(world.store.account(user).await.unwrap(), None);
        world.apply(1, &Row::Account { user });
        assert_eq!(world.store.account(user).await.unwrap().as_deref(), Some(&account));
    }
}

#[tokio::test]
async fn profiles_change_with_their_rows() {
    for world in worlds().await {
        let user = UserNid(1);
        world
            .write([
                users::insert(user, user_id!("@a:x")),
                profiles::upsert(user, "displayname", &json(r#""A""#)),
                profiles::upsert(user, "avatar_url", &json("null")),
            ])
            .await;
        let fields = async || {
            let profile = world.store.profile(user).await.unwrap();
            profile
                .iter()
                .map(|(field, value)| format!("{field}={}", value.get()))
                .collect::<Vec<_>>()
        };
        assert_eq!(fields().await, ["avatar_url=null", r#"displayname="A""#]);
        let change = [
            profiles::upsert(user, "displayname", &json(r#""B""#)),
            profiles::delete(user, "avatar_url"),
        ];
        world.write(change).await;
        assert_eq!(fields().await.len(), 2);
        world.apply(1, &Row::Profile { user });
        assert_eq!(fields().await, [r#"displayname="B""#]);
        assert!(world.store.profile(UserNid(2)).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn devices_stay_as_they_were_at_the_first_login() {
    for world in worlds().await {
        let user = UserNid(1);
        let device = |id: &str, name: Option<&str>| Device {
            device_id: id.into(),
            display_name: name.map(str::to_owned),
            created_ms: 3,
        };
        world
            .write([
                users::insert(user, user_id!("@a:x")),
                devices::insert(user, &device("ONE", Some("phone"))),
                devices::insert(user, &device("ONE", None)),
                devices::insert(user, &device("ANOTHER", None)),
            ])
            .await;
        let one = device("ONE", Some("phone"));
        assert_eq!(
            world.store.devices(user).await.unwrap(),
            [device("ANOTHER", None), one.clone()]
        );
        assert_eq!(world.store.device(user, device_id!("ONE")).await.unwrap(), Some(one));
        world.write([devices::delete(user, device_id!("ONE"))]).await;
        assert_eq!(world.store.device(user, device_id!("ONE")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn rooms_of_every_version_and_their_heads() {
    for world in worlds().await {
        for (version, nid) in RoomVersion::ALL.into_iter().zip(1..) {
            let room = world.room(nid, version).await;
            let found = world.store.room(&room.id).await.unwrap();
            assert_eq!(found.as_deref(), Some(&room));
            assert_eq!(world.other_process().room_by_nid(room.nid).await.unwrap(), found);
            let mut head = RoomHead {
                extremities: vec![EventNid(7), EventNid(1 << 40)],
                room_order: 4,
                depth: 5,
                room_root: NodeId(6),
                next_node: NodeId(8),
                joined: 3,
                invited: 2,
            };
            let db = world.store.db();
            assert_eq!(room_heads::load(db, room.nid).await.unwrap(), None);
            world.write([room_heads::upsert(room.nid, &head)]).await;
            head.extremities.pop();
            head.depth = 9;
            world.write([room_heads::upsert(room.nid, &head)]).await;
            assert_eq!(room_heads::load(db, room.nid).await.unwrap(), Some(head));
        }
        assert_eq!(world.store.room(room_id!("!nowhere:x")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn state_keys_are_interned_once() {
    for world in worlds().await {
        let store = &world.store;
        world
            .write([
                state_keys::insert(StateKeyNid(1), "m.room.create", ""),
                state_keys::insert(StateKeyNid(2), "m.room.member", "@ü:x"),
            ])
            .await;
        assert_eq!(
            store.state_key_nid("m.room.member", "@ü:x").await.unwrap(),
            Some(StateKeyNid(2))
        );
        assert_eq!(
            store.state_key_nid("m.room.create", "").await.unwrap(),
            Some(StateKeyNid(1))
        );
        assert_eq!(store.state_key_nid("m.room.membe", "r@ü:x").await.unwrap(), None);
        let pair = store.state_key(StateKeyNid(2)).await.unwrap().unwrap();
        assert_eq!(*pair, ("m.room.member".to_owned(), "@ü:x".to_owned()));
        let pairs = store
            .state_keys(&[StateKeyNid(3), StateKeyNid(1), StateKeyNid(1)])
            .await
            .unwrap();
        assert_eq!(
            pairs.iter().map(Option::is_some).collect::<Vec<_>>(),
            [false, true, true]
        );
        assert!(
            world
                .refuses([state_keys::insert(StateKeyNid(4), "m.room.create", "")])
                .await
        );
    }
}

#[tokio::test]
async fn filters_are_the_same_if_they_say_the_same() {
    for world in worlds().await {
        let user = UserNid(1);
        world.write([users::insert(user, user_id!("@a:x"))]).await;
        let store = &world.store;
        let id = store.insert_filter(user, b"{}").await.unwrap();
        assert_eq!(store.insert_filter(user, b"{}").await.unwrap(), id);
        let other = store.insert_filter(user, br#"{"room":{}}"#).await.unwrap();
        assert!(id >= 0 && other >= 0 && id != other);
        for store in [store, &world.other_process()] {
            assert_eq!(store.filter(user, id).await.unwrap().as_deref(), Some(&b"{}"[..]));
            assert_eq!(store.filter(user, id).await.unwrap().as_deref(), Some(&b"{}"[..]));
            assert_eq!(store.filter(UserNid(2), id).await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn a_command_has_one_result() {
    for world in worlds().await {
        let db = world.store.db();
        let insert =
            |id: u8, position, created_ms| commands::insert(&[id; 16], Value::Int(position), created_ms, &[id]);
        assert_eq!(commands::older_than(db, 1_000).await.unwrap(), 0);
        world
            .write([
                insert(1, 10, 100),
                insert(2, 10, 100),
                insert(3, 11, 200),
                insert(4, 12, 300),
            ])
            .await;
        let result = commands::get(db, &[2; 16]).await.unwrap();
        assert_eq!(
            result.map(|(position, result)| (position, result.to_vec())),
            Some((10, vec![2]))
        );
        assert!(world.refuses([insert(5, 13, 400), insert(2, 13, 400)]).await);
        assert_eq!(commands::get(db, &[5; 16]).await.unwrap(), None);

        assert_eq!(commands::older_than(db, 100).await.unwrap(), 0);
        let up_to = commands::older_than(db, 300).await.unwrap();
        assert_eq!(up_to, 11);
        world.write([commands::prune(up_to)]).await;
        assert_eq!(commands::get(db, &[3; 16]).await.unwrap(), None);
        assert!(commands::get(db, &[4; 16]).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn tasks_come_due_in_order() {
    for world in worlds().await {
        let db = world.store.db();
        let task = |id: i64, due_ms| Task {
            id,
            due_ms,
            command: vec![1, 0, 255].into(),
        };
        assert_eq!(tasks::next_due_ms(db).await.unwrap(), None);
        world
            .write([
                tasks::insert(&task(1, 30)),
                tasks::insert(&task(2, 10)),
                tasks::insert(&task(3, 20)),
            ])
            .await;
        assert_eq!(tasks::next_due_ms(db).await.unwrap(), Some(10));
        assert_eq!(tasks::due(db, 20, 10).await.unwrap(), [task(2, 10), task(3, 20)]);
        assert_eq!(tasks::due(db, 99, 1).await.unwrap(), [task(2, 10)]);
        world.write([tasks::delete(2), tasks::delete(2)]).await;
        assert_eq!(tasks::due(db, 99, 10).await.unwrap(), [task(3, 20), task(1, 30)]);
    }
}

#[tokio::test]
async fn numbers_go_on_after_the_greatest() {
    for world in worlds().await {
        let db = world.store.db();
        let first = NextNids {
            user: 1,
            room: 1,
            state_key: 1,
            event: 1,
            task: 1,
        };
        assert_eq!(next_nids(db).await.unwrap(), first);
        let room = world.room(40, RoomVersion::V12).await;
        world
            .write([
                users::insert(UserNid(20), user_id!("@a:x")),
                users::insert(UserNid(7), user_id!("@b:x")),
                state_keys::insert(StateKeyNid(5), "a", "b"),
                events::insert(&message(&room, 90), Value::Int(1)),
                tasks::insert(&Task {
                    id: 2,
                    due_ms: 0,
                    command: vec![].into(),
                }),
            ])
            .await;
        let next = NextNids {
            user: 21,
            room: 41,
            state_key: 6,
            event: 91,
            task: 3,
        };
        assert_eq!(next_nids(db).await.unwrap(), next);
    }
}

#[tokio::test]
async fn media_is_uploaded_once_and_in_time() {
    for world in worlds().await {
        let (store, alice, bob) = (&world.store, UserNid(1), UserNid(2));
        let content = MediaContent {
            hash: [7; 32],
            size: 3 << 30,
            content_type: "image/png".to_owned(),
            file_name: Some("a.png".to_owned()),
        };
        store.insert_media("one", alice, &content, false, 5).await.unwrap();
        let one = store.media("one").await.unwrap().expect("it is there");
        assert_eq!(
            (one.user, one.content.as_ref(), one.last_access_ms),
            (alice, Some(&content), 5)
        );
        store.touch_media("one", 9).await.unwrap();
        store.touch_media("one", 8).await.unwrap();
        assert_eq!(store.media("one").await.unwrap().map(|one| one.last_access_ms), Some(9));
        assert_eq!(store.media("two").await.unwrap(), None);
        let to_come = |media_id, now_ms| MediaToCome {
            media_id,
            user: alice,
            now_ms,
            expires_ms: now_ms + 10,
            of_user_max: 2,
        };
        let reserve = async |media_id, now_ms| store.insert_media_to_come(to_come(media_id, now_ms)).await.unwrap();
        assert!(reserve("two", 10).await);
        assert!(reserve("three", 12).await);
        assert!(!reserve("four", 14).await, "too many");
        assert!(reserve("five", 20).await, "the first one has expired");
        assert_eq!(store.media("two").await.unwrap(), None);
        let fill = async |media_id, user, now_ms| {
            let filled = store.fill_media(media_id, user, &content, true, now_ms).await;
            filled.unwrap()
        };
        assert!(!fill("three", bob, 13).await, "it is another's");
        assert!(!fill("three", alice, 22).await, "it has expired");
        assert!(fill("three", alice, 21).await);
        assert!(!fill("three", alice, 21).await, "it has a file");
        let three = store.media("three").await.unwrap().expect("it is there");
        assert_eq!(
            (three.content.as_ref(), three.expires_ms, three.needs_token),
            (Some(&content), None, true)
        );
    }
}

#[tokio::test]
async fn a_thumbnail_is_found_by_all_it_depends_on() {
    for world in worlds().await {
        let store = &world.store;
        let key = ThumbnailKey {
            hash: [1; 32],
            width: 32,
            height: u32::MAX,
            crop: true,
            animated: false,
        };
        let thumbnail = Thumbnail {
            hash: [2; 32],
            size: 77,
            content_type: "image/png".to_owned(),
        };
        store.insert_thumbnail(key, &thumbnail, 5).await.unwrap();
        store.insert_thumbnail(key, &thumbnail, 6).await.unwrap();
        assert_eq!(store.thumbnail(key).await.unwrap(), Some(thumbnail));
        for other in [
            ThumbnailKey { hash: [2; 32], ..key },
            ThumbnailKey { width: 33, ..key },
            ThumbnailKey { crop: false, ..key },
            ThumbnailKey { animated: true, ..key },
        ] {
            assert_eq!(store.thumbnail(other).await.unwrap(), None);
        }
    }
}

//! Who a request comes from.

use plexus_core::{ids::UserNid, row::Row};
use plexus_storage::{
    Store,
    access_tokens::{self, TokenHash, TokenLife},
    accounts::{self, Account, Standing},
    db::{Statement, Value},
    devices::{self, Device},
    users,
};
use ruma::{DeviceId, OwnedDeviceId, user_id};

use crate::support::{World, begin, finish, worlds};

const USER: UserNid = UserNid(1);

fn login(device: &str, token: TokenHash) -> [Statement; 2] {
    let device_id: OwnedDeviceId = device.into();
    let token = access_tokens::insert(&token, USER, &device_id, TokenLife::default(), 1);
    [
        devices::insert(
            USER,
            &Device {
                device_id,
                display_name: None,
                created_ms: 1,
            },
        ),
        token,
    ]
}

fn logout(device: &DeviceId) -> [Statement; 2] {
    [
        access_tokens::delete_of_device(USER, device),
        devices::delete(USER, device),
    ]
}

fn row(device: &str, deleted: bool) -> Row {
    Row::Device {
        user: USER,
        device: device.into(),
        deleted,
    }
}

async fn device(store: &Store, token: TokenHash) -> Option<String> {
    let session = store.session(&token).await.unwrap()?;
    assert_eq!((session.user, &*session.user_id), (USER, user_id!("@a:x")));
    Some(session.device_id.to_string())
}

async fn registered() -> [World; 2] {
    let worlds = worlds().await;
    for world in &worlds {
        let account = Account {
            user: USER,
            password_hash: None,
            admin: false,
            guest: false,
            deactivated: false,
            standing: Standing::default(),
            created_ms: 1,
        };
        world
            .write([users::insert(USER, user_id!("@a:x")), accounts::insert(&account)])
            .await;
    }
    worlds
}

#[tokio::test]
async fn a_session_lasts_from_login_to_logout() {
    for world in registered().await {
        let store = &world.store;
        assert_eq!(device(store, [1; 32]).await, None);
        world.write(login("ONE", [1; 32])).await;
        world.write(login("TWO", [2; 32])).await;
        world.apply(1, &row("ONE", false));
        assert_eq!(device(store, [1; 32]).await.as_deref(), Some("ONE"));
        assert_eq!(device(store, [2; 32]).await.as_deref(), Some("TWO"));

        world.write(logout("ONE".into())).await;
        assert_eq!(device(store, [1; 32]).await.as_deref(), Some("ONE"));
        world.apply(2, &row("ONE", true));
        assert_eq!(device(store, [1; 32]).await, None);
        assert_eq!(device(store, [2; 32]).await.as_deref(), Some("TWO"));
    }
}

#[tokio::test]
async fn sessions_are_in_memory_after_the_first_request() {
    for world in registered().await {
        world.write(login("ONE", [1; 32])).await;
        assert!(device(&world.store, [1; 32]).await.is_some());
        // Gone without a row: nothing that reads the table could still find it.
        world.write(logout("ONE".into())).await;
        assert!(device(&world.store, [1; 32]).await.is_some());
        assert!(device(&world.other_process(), [1; 32]).await.is_none());
    }
}

#[tokio::test]
async fn a_login_that_this_process_has_not_heard_of_is_valid() {
    for world in registered().await {
        world.write(login("ONE", [1; 32])).await;
        assert!(device(&world.store, [1; 32]).await.is_some());
        world.write(login("TWO", [2; 32])).await;
        assert_eq!(device(&world.store, [2; 32]).await.as_deref(), Some("TWO"));
        world.write(logout("TWO".into())).await;
        assert_eq!(device(&world.store, [2; 32]).await, None);
    }
}

#[tokio::test]
async fn an_account_row_changes_the_sessions() {
    for world in registered().await {
        world.write(login("ONE", [1; 32])).await;
        assert!(!world.store.session(&[1; 32]).await.unwrap().unwrap().admin);
        let promote = Statement::new("-- test::promote\nUPDATE accounts SET admin = $1", [Value::Bool(true)]);
        world.write([promote]).await;
        world.apply(1, &Row::Account { user: USER });
        assert!(world.store.session(&[1; 32]).await.unwrap().unwrap().admin);
    }
}

#[tokio::test]
async fn a_logout_during_a_load_is_not_forgotten() {
    for world in registered().await {
        world.write(login("ONE", [1; 32])).await;
        let load = begin(world.store.session(&[1; 32])).await;
        world.write(logout("ONE".into())).await;
        world.apply(1, &row("ONE", true));
        finish(load).await.unwrap();
        assert_eq!(device(&world.store, [1; 32]).await, None);
    }
}

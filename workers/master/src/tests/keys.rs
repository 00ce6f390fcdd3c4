//! What Commands do to keys, and to messages that wait for devices.

use std::collections::BTreeSet;

use plexus_core::row::Row;
use plexus_proto::{
    AcknowledgeToDevice, ClaimKeys, CommandResult, CreateSession, CrossSigningKey, DeleteSessions, NamedKey,
    SendToDevice, Session, SetCrossSigningKeys, ToDeviceMessage, UploadKeys, WantedKey, command::Kind,
};
use plexus_replication::MasterError;
use plexus_storage::to_device::WaitingMessage;
use plexus_testkit::databases;
use ruma::device_id;
use serde_json::{Value, json};

use super::Server;

const ALICE: &str = "@alice:example.org";
const BOB: &str = "@bob:example.org";
const ALGORITHM: &str = "signed_curve25519";

fn log_in(user: &str, device: &str) -> Kind {
    let mut token_hash = [0; 32];
    let names = user.bytes().chain(device.bytes());
    for (byte, name) in token_hash.iter_mut().zip(names) {
        *byte = name;
    }
    Kind::CreateSession(CreateSession {
        user_id: user.to_owned(),
        session: Some(Session {
            device_id: device.to_owned(),
            token_hash: token_hash.to_vec().into(),
            ..Session::default()
        }),
    })
}

fn key(id: &str, value: &Value) -> NamedKey {
    NamedKey {
        algorithm: ALGORITHM.to_owned(),
        key_id: id.to_owned(),
        json: value.to_string().into(),
    }
}

fn upload(one_time_keys: Vec<NamedKey>, fallback_keys: Vec<NamedKey>) -> Kind {
    Kind::UploadKeys(UploadKeys {
        user_id: ALICE.to_owned(),
        device_id: "PHONE".to_owned(),
        device_keys: Some(json!({"user_id": ALICE}).to_string().into()),
        one_time_keys,
        fallback_keys,
    })
}

fn claim() -> Kind {
    let wanted = WantedKey {
        device_id: "PHONE".to_owned(),
        algorithm: ALGORITHM.to_owned(),
    };
    Kind::ClaimKeys(ClaimKeys {
        user_id: ALICE.to_owned(),
        wanted: vec![wanted],
    })
}

/// The name of the key that was claimed.
fn claimed(result: &CommandResult) -> Option<String> {
    let json: Value = serde_json::from_slice(result.json.as_ref().expect("an answer")).expect("JSON");
    let keys = json["PHONE"].as_object()?;
    assert_eq!(keys.len(), 1);
    keys.keys().next().cloned()
}

fn errcode(result: Result<CommandResult, MasterError>) -> String {
    match result {
        Err(MasterError::Matrix { errcode, .. }) => errcode,
        other => panic!("not a Matrix error: {other:?}"),
    }
}

async fn run(server: &Server, id: &str, kind: Kind) -> CommandResult {
    server.run(id, kind).await.expect("the command is done")
}

async fn with_phone(database: &plexus_testkit::TestDatabase) -> Server {
    let server = Server::start(database, "one").await;
    server.register(ALICE).await;
    server.register(BOB).await;
    run(&server, "phone", log_in(ALICE, "PHONE")).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn each_one_time_key_is_given_once_whatever_happens() {
    const KEYS: usize = 30;
    for database in databases().await {
        let server = with_phone(&database).await;
        let keys = (0..KEYS).map(|n| key(&format!("{n:03}"), &json!({"key": n}))).collect();
        run(&server, "up", upload(keys, vec![key("fb", &json!("fallback"))])).await;
        let names: Vec<String> = (0..KEYS).map(|n| format!("claim{n}")).collect();
        let claims = names.iter().map(|name| server.run(name, claim()));
        let answers = futures_util::future::join_all(claims).await;
        let answers: Vec<CommandResult> = answers.into_iter().map(|answer| answer.expect("it is done")).collect();
        let taken: BTreeSet<String> = answers.iter().filter_map(claimed).collect();
        assert_eq!(taken.len(), KEYS, "{taken:?}");
        assert!(!taken.contains("signed_curve25519:fb"));
        // Another master: who asks again under the same id gets the same, who asks anew gets the fallback key, for ever.
        server.kill();
        let server = Server::start(&database, "one").await;
        assert_eq!(run(&server, "claim0", claim()).await, answers[0]);
        let store = server.replica.store();
        let alice = store
            .user_nid(ALICE.try_into().expect("an id"))
            .await
            .expect("read")
            .expect("known");
        let counts = store.key_counts(alice, device_id!("PHONE")).await.expect("read");
        assert!(counts.one_time.is_empty());
        assert_eq!(counts.unused_fallback, [ALGORITHM]);
        for n in 0..2 {
            let answer = run(&server, &format!("again{n}"), claim()).await;
            assert_eq!(claimed(&answer).as_deref(), Some("signed_curve25519:fb"));
        }
        let counts = store.key_counts(alice, device_id!("PHONE")).await.expect("read");
        assert!(counts.unused_fallback.is_empty(), "{counts:?}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_key_goes_first_and_a_name_is_used_once() {
    for database in databases().await {
        let server = with_phone(&database).await;
        run(&server, "up1", upload(vec![key("zz", &json!({"key": 1}))], Vec::new())).await;
        run(&server, "up2", upload(vec![key("aa", &json!({"key": 2}))], Vec::new())).await;
        let rows = server.log().await.len();
        // Again, written differently.
        let mut same = key("aa", &json!({}));
        same.json = "{ \"key\" : 2 }".into();
        run(&server, "up3", upload(vec![same], Vec::new())).await;
        assert_eq!(server.log().await.len(), rows, "nothing has changed");
        let other = upload(vec![key("aa", &json!({"key": 3}))], Vec::new());
        assert_eq!(errcode(server.run("up4", other).await), "M_INVALID_PARAM");
        let first = run(&server, "c1", claim()).await;
        assert_eq!(claimed(&first).as_deref(), Some("signed_curve25519:zz"));
        let second = run(&server, "c2", claim()).await;
        assert_eq!(claimed(&second).as_deref(), Some("signed_curve25519:aa"));
        assert_eq!(claimed(&run(&server, "c3", claim()).await), None);
        server.stop().await;
    }
}

fn message(device: &str, n: usize) -> ToDeviceMessage {
    ToDeviceMessage {
        user_id: ALICE.to_owned(),
        device_id: device.to_owned(),
        content: json!({"n": n}).to_string().into(),
    }
}

fn send(messages: Vec<ToDeviceMessage>) -> Kind {
    Kind::SendToDevice(SendToDevice {
        sender: BOB.to_owned(),
        kind: "m.test".to_owned(),
        messages,
        outgoing: Vec::new(),
    })
}

async fn waiting(server: &Server, device: &str) -> Vec<WaitingMessage> {
    let store = server.replica.store();
    let alice = store
        .user_nid(ALICE.try_into().expect("an id"))
        .await
        .expect("read")
        .expect("known");
    store
        .to_device_messages(alice, device.into(), 0, i64::MAX, 100)
        .await
        .expect("read")
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_wait_until_they_are_acknowledged() {
    for database in databases().await {
        let server = with_phone(&database).await;
        run(&server, "tablet", log_in(ALICE, "TABLET")).await;
        run(&server, "s1", send(vec![message("PHONE", 1), message("NOWHERE", 9)])).await;
        run(&server, "s2", send(vec![message("*", 2)])).await;
        run(&server, "s2", send(vec![message("*", 2)])).await;
        run(&server, "s3", send(vec![message("PHONE", 3)])).await;
        let phone = waiting(&server, "PHONE").await;
        let contents: Vec<&[u8]> = phone.iter().map(|message| &*message.content).collect();
        assert_eq!(contents, [br#"{"n":1}"#, br#"{"n":2}"#, br#"{"n":3}"#]);
        assert_eq!(waiting(&server, "TABLET").await.len(), 1);
        assert_eq!(waiting(&server, "NOWHERE").await, []);
        let acknowledge = |up_to| {
            Kind::AcknowledgeToDevice(AcknowledgeToDevice {
                user_id: ALICE.to_owned(),
                device_id: "PHONE".to_owned(),
                up_to,
            })
        };
        run(&server, "a1", acknowledge(phone[1].position)).await;
        assert_eq!(waiting(&server, "PHONE").await, phone[2..]);
        assert_eq!(waiting(&server, "TABLET").await.len(), 1);
        let rows = server.log().await.len();
        run(&server, "a2", acknowledge(phone[1].position)).await;
        assert_eq!(server.log().await.len(), rows, "there was nothing to remove");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_goes_with_everything_that_is_kept_for_it() {
    for database in databases().await {
        let server = with_phone(&database).await;
        run(
            &server,
            "up",
            upload(vec![key("a", &json!("x"))], vec![key("b", &json!("y"))]),
        )
        .await;
        run(&server, "s1", send(vec![message("PHONE", 1)])).await;
        let log_out = DeleteSessions {
            user_id: ALICE.to_owned(),
            device_id: Some("PHONE".to_owned()),
            ..DeleteSessions::default()
        };
        run(&server, "out", Kind::DeleteSessions(log_out)).await;
        let last = server.log().await.pop().expect("a frame");
        assert!(
            last.rows.iter().any(|row| matches!(row, Row::DeviceList { .. })),
            "others learn of it: {last:?}"
        );
        // Logging in again under the same id is another device.
        run(&server, "phone2", log_in(ALICE, "PHONE")).await;
        let store = server.replica.store();
        let alice = store
            .user_nid(ALICE.try_into().expect("an id"))
            .await
            .expect("read")
            .expect("known");
        assert_eq!(store.device_keys(&[alice]).await.expect("read"), []);
        let counts = store.key_counts(alice, device_id!("PHONE")).await.expect("read");
        assert_eq!(*counts, plexus_storage::key_counts::KeyCounts::default());
        assert_eq!(waiting(&server, "PHONE").await, []);
        assert_eq!(claimed(&run(&server, "claim", claim()).await), None);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_first_cross_signing_keys_need_no_authentication() {
    let key = |id: &str| CrossSigningKey {
        key_id: id.to_owned(),
        json: json!({"keys": {id: id}}).to_string().into(),
    };
    let set = |master: &str, authorized: bool| {
        Kind::SetCrossSigningKeys(SetCrossSigningKeys {
            user_id: ALICE.to_owned(),
            master: Some(key(master)),
            authorized,
            ..SetCrossSigningKeys::default()
        })
    };
    for database in databases().await {
        let server = with_phone(&database).await;
        run(&server, "k1", set("one", false)).await;
        run(&server, "k2", set("one", false)).await;
        assert_eq!(errcode(server.run("k3", set("two", false)).await), "M_FORBIDDEN");
        run(&server, "k4", set("two", true)).await;
        server.stop().await;
    }
}

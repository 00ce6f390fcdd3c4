//! Account data, tags, the read marker, push rules; and what messages say of whom they notify.

use plexus_core::{ids::RoomNid, room_version::RoomVersion, row::Row};
use plexus_proto::{
    CarryOver, ChangePushRules, ChangeTag, Command, PutPushRule, SendEvent, SetAccountData, SetFullyRead,
    change_push_rules::Change, command::Kind,
};
use plexus_replication::MasterError;
use plexus_storage::highlights::Highlights;
use plexus_testkit::{databases, sqlite_database};
use serde_json::{Value, json};

use super::Server;
use crate::{
    change_set::ChangeSet,
    decide::{LaneState, decide},
};

const ALICE: &str = "@alice:example.org";
const BOB: &str = "@bob:example.org";

fn refusal<T: std::fmt::Debug>(result: Result<T, MasterError>) -> (u16, String) {
    match result {
        Err(MasterError::Matrix { status, errcode, .. }) => (status, errcode),
        other => panic!("not a Matrix error: {other:?}"),
    }
}

impl Server {
    async fn room_nid(&self, room: &str) -> RoomNid {
        let room = <&ruma::RoomId>::try_from(room).unwrap();
        self.replica.store().room(room).await.unwrap().unwrap().nid
    }

    async fn data(&self, user: &str, room: Option<&str>, kind: &str) -> Option<Value> {
        let store = self.replica.store();
        let user = store.user_nid(user.try_into().unwrap()).await.unwrap().unwrap();
        let room = match room {
            Some(room) => Some(self.room_nid(room).await),
            None => None,
        };
        let entry = store.account_data(user, room, kind).await.unwrap()?;
        Some(serde_json::from_str(entry.content.get()).unwrap())
    }

    async fn tag(&self, id: &str, room: &str, tag: &str, content: Option<Value>) -> Result<(), MasterError> {
        let tag = ChangeTag {
            user_id: ALICE.to_owned(),
            room_id: room.to_owned(),
            tag: tag.to_owned(),
            content: content.map(|content| content.to_string().into()),
        };
        self.run(id, Kind::ChangeTag(tag)).await.map(drop)
    }

    async fn rule(&self, id: &str, kind: &str, rule_id: &str, change: Change) -> Result<(), MasterError> {
        let change = ChangePushRules {
            user_id: ALICE.to_owned(),
            kind: kind.to_owned(),
            rule_id: rule_id.to_owned(),
            change: Some(change),
        };
        self.run(id, Kind::ChangePushRules(change)).await.map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn account_data_is_set_and_told_of() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let room = server.create_room("room", ALICE, RoomVersion::V12).await;
        let set = async |id: &str, room: Option<&str>, content: Value| {
            let set = SetAccountData {
                user_id: ALICE.to_owned(),
                room_id: room.map(str::to_owned),
                kind: "m.direct".to_owned(),
                content: content.to_string().into(),
            };
            server.run(id, Kind::SetAccountData(set)).await
        };
        set("one", None, json!({"a": 1})).await.unwrap();
        let before = server.log().await.len();
        set("two", None, json!({"a": 1})).await.unwrap();
        assert_eq!(server.log().await.len(), before, "it says that already");
        set("three", Some(&room), json!({"a": 2})).await.unwrap();
        assert_eq!(server.data(ALICE, None, "m.direct").await, Some(json!({"a": 1})));
        assert_eq!(server.data(ALICE, Some(&room), "m.direct").await, Some(json!({"a": 2})));
        let log = server.log().await;
        let last = log.last().unwrap().rows.last().unwrap();
        assert!(
            matches!(last, Row::AccountData { room: Some(_), kind, .. } if kind == "m.direct"),
            "{last:?}"
        );
        let elsewhere = set("four", Some("!nowhere:example.org"), json!({})).await;
        assert_eq!(refusal(elsewhere), (403, "M_FORBIDDEN".to_owned()));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_set_at_the_same_time_are_all_there() {
    let database = sqlite_database().await;
    let server = Server::start(&database, "one").await;
    server.register(ALICE).await;
    let room = server.create_room("room", ALICE, RoomVersion::V12).await;
    let names: Vec<String> = (0..20).map(|number| format!("u.{number}")).collect();
    let tagging = names.iter().map(|name| {
        let id = name.clone();
        let (server, room) = (&server, &room);
        async move { server.tag(&id, room, name, Some(json!({"order": 0.5}))).await }
    });
    for done in futures_util::future::join_all(tagging).await {
        done.unwrap();
    }
    let tags = |content: Option<Value>| content.unwrap()["tags"].as_object().unwrap().len();
    assert_eq!(tags(server.data(ALICE, Some(&room), "m.tag").await), 20);
    server.tag("away", &room, "u.7", None).await.unwrap();
    server.tag("gone", &room, "u.7", None).await.unwrap();
    assert_eq!(tags(server.data(ALICE, Some(&room), "m.tag").await), 19);
    for number in 0..81 {
        server
            .tag(&format!("n{number}"), &room, &format!("n.{number}"), Some(json!({})))
            .await
            .unwrap();
    }
    let many = server.tag("many", &room, "n.one.more", Some(json!({}))).await;
    assert_eq!(refusal(many), (413, "M_TOO_LARGE".to_owned()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_read_marker_only_moves_forward() {
    let database = sqlite_database().await;
    let server = Server::start(&database, "one").await;
    server.register(ALICE).await;
    let room = server.create_room("room", ALICE, RoomVersion::V12).await;
    let first = server.send("first", &room, ALICE, "one").await.unwrap();
    let second = server.send("second", &room, ALICE, "two").await.unwrap();
    let read = async |id: &str, event_id: &str| {
        let read = SetFullyRead {
            user_id: ALICE.to_owned(),
            room_id: room.clone(),
            event_id: event_id.to_owned(),
        };
        server.run(id, Kind::SetFullyRead(read)).await
    };
    let marker = async || server.data(ALICE, Some(&room), "m.fully_read").await.unwrap()["event_id"].clone();
    read("a", &first).await.unwrap();
    assert_eq!(marker().await, json!(first));
    let (forward, backward) = tokio::join!(read("b", &second), read("c", &first));
    forward.unwrap();
    backward.unwrap();
    assert_eq!(marker().await, json!(second));
    let unknown = read("d", "$nothing:example.org").await;
    assert_eq!(refusal(unknown), (404, "M_NOT_FOUND".to_owned()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn push_rules_are_changed_one_after_the_other() {
    let database = sqlite_database().await;
    let server = Server::start(&database, "one").await;
    server.register(ALICE).await;
    let put = |rule: Value| {
        Change::Put(PutPushRule {
            rule: rule.to_string().into(),
            before: None,
            after: None,
        })
    };
    let changes = (0..10).map(|number| {
        let server = &server;
        let change = put(json!({"actions": ["notify"]}));
        async move {
            server
                .rule(&format!("p{number}"), "room", &format!("!{number}:x"), change)
                .await
        }
    });
    for done in futures_util::future::join_all(changes).await {
        done.unwrap();
    }
    let rules = async || server.data(ALICE, None, "m.push_rules").await.unwrap()["global"].clone();
    assert_eq!(rules().await["room"].as_array().unwrap().len(), 10);
    assert_eq!(rules().await["override"][0]["rule_id"], ".m.rule.master");
    server.rule("del", "room", "!3:x", Change::Delete(true)).await.unwrap();
    server
        .rule("off", "room", "!4:x", Change::Enabled(false))
        .await
        .unwrap();
    let actions = Change::Actions(json!(["dont_notify"]).to_string().into());
    server
        .rule("act", "override", ".m.rule.tombstone", actions)
        .await
        .unwrap();
    let now = rules().await;
    assert_eq!(now["room"].as_array().unwrap().len(), 9);
    let found = |kind: &str, id: &str| {
        let all = now[kind].as_array().unwrap().iter();
        all.clone().find(|rule| rule["rule_id"] == id).unwrap().clone()
    };
    assert_eq!(found("room", "!4:x")["enabled"], false);
    assert_eq!(
        found("override", ".m.rule.tombstone")["actions"],
        json!(["dont_notify"])
    );
    let refused = [
        ("room", "!3:x", Change::Delete(true), 404),
        ("override", ".m.rule.master", Change::Delete(true), 400),
        ("override", ".m.rule.mine", put(json!({"actions": []})), 400),
        ("override", ".m.rule.none", Change::Enabled(true), 404),
        ("room", "!5:x", put(json!({"actions": ["shout"]})), 400),
    ];
    for (number, (kind, id, change, status)) in refused.into_iter().enumerate() {
        let refused = server.rule(&format!("x{number}"), kind, id, change).await;
        assert_eq!(refusal(refused).0, status, "{kind} {id}");
    }
    assert_eq!(rules().await, now);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_rules_go_into_the_room_that_replaces_another() {
    let database = sqlite_database().await;
    let server = Server::start(&database, "one").await;
    server.register(ALICE).await;
    let old = server.create_room("old", ALICE, RoomVersion::V11).await;
    let new = server.create_room("new", ALICE, RoomVersion::V12).await;
    server
        .tag("tag", &old, "u.work", Some(json!({"order": 0.1})))
        .await
        .unwrap();
    let direct = SetAccountData {
        user_id: ALICE.to_owned(),
        room_id: None,
        kind: "m.direct".to_owned(),
        content: json!({BOB: [old], "@c:x": ["!other:x"]}).to_string().into(),
    };
    server.run("direct", Kind::SetAccountData(direct)).await.unwrap();
    let rule = Change::Put(PutPushRule {
        rule: json!({"actions": []}).to_string().into(),
        before: None,
        after: None,
    });
    server.rule("rule", "room", &old, rule).await.unwrap();
    let carry = CarryOver {
        user_id: ALICE.to_owned(),
        from_room_id: old.clone(),
        to_room_id: new.clone(),
    };
    server.run("carry", Kind::CarryOver(carry.clone())).await.unwrap();
    assert_eq!(
        server.data(ALICE, Some(&new), "m.tag").await,
        Some(json!({"tags": {"u.work": {"order": 0.1}}}))
    );
    assert_eq!(
        server.data(ALICE, None, "m.direct").await,
        Some(json!({BOB: [old, new], "@c:x": ["!other:x"]}))
    );
    let rules = server.data(ALICE, None, "m.push_rules").await.unwrap();
    let ids: Vec<&Value> = rules["global"]["room"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["rule_id"])
        .collect();
    assert_eq!(ids, [&json!(new), &json!(old)]);
    let before = server.log().await.len();
    server.run("again", Kind::CarryOver(carry)).await.unwrap();
    assert_eq!(server.log().await.len(), before, "what is there stays");
    server.stop().await;
}

/// A message of `content`, decided and not committed: the names of its statements.
async fn statements_of(server: &Server, room: &str, content: Value) -> Vec<String> {
    let leader = server.master.leader_for_tests();
    let send = SendEvent {
        room_id: room.to_owned(),
        sender: ALICE.to_owned(),
        kind: "m.room.message".to_owned(),
        content: content.to_string().into(),
        ..SendEvent::default()
    };
    let command = Command {
        id: vec![9; 16].into(),
        kind: Some(Kind::SendEvent(send)),
        task: None,
    };
    let mut state = LaneState::default();
    let mut decision = decide(&leader, &mut state, &command).await.unwrap();
    leader.remember_result(&command, &mut decision);
    let mut change = ChangeSet::default();
    change.append(decision.change);
    state.store_head(&mut change);
    let names = change
        .statements
        .iter()
        .map(|statement| statement.sql.lines().next().unwrap().to_owned());
    names.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_costs_the_same_in_a_room_of_any_size() {
    let database = sqlite_database().await;
    let server = Server::start(&database, "one").await;
    server.register(ALICE).await;
    let small = server.create_room("small", ALICE, RoomVersion::V12).await;
    let large = server.create_room("large", ALICE, RoomVersion::V12).await;
    let members: Vec<String> = (100..200).map(|number| format!("@{number}:example.org")).collect();
    for member in &members {
        let register = plexus_proto::Register {
            user_id: member.clone(),
            ..plexus_proto::Register::default()
        };
        server
            .run(&format!("g{}", &member[1..4]), Kind::Register(register))
            .await
            .unwrap();
        server.join(&large, member).await.unwrap();
    }
    let plain = json!({"msgtype": "m.text", "body": "hello"});
    let everybody = json!({"msgtype": "m.text", "body": "@room", "m.mentions": {"room": true}});
    for content in [&plain, &everybody] {
        let in_small = statements_of(&server, &small, content.clone()).await;
        assert_eq!(statements_of(&server, &large, content.clone()).await, in_small);
    }
    let highlighting = async |content: &Value| {
        let statements = statements_of(&server, &large, content.clone()).await;
        statements
            .iter()
            .filter(|name| name.ends_with("highlights::insert"))
            .count()
    };
    assert_eq!((highlighting(&plain).await, highlighting(&everybody).await), (0, 1));
    // A row for each member that is named, and for no more than a message may name.
    let three = json!({"body": "x", "m.mentions": {"user_ids": [members[0], members[1], members[1], ALICE, "@nobody:example.org", "@x:elsewhere"]}});
    assert_eq!(highlighting(&three).await, 2);
    let all = json!({"body": "x", "m.mentions": {"user_ids": members}});
    assert!(highlighting(&all).await <= plexus_core::push_rules::MENTIONS_MAX);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_carry_how_many_have_notified_everybody() {
    let database = sqlite_database().await;
    let server = Server::start(&database, "one").await;
    server.register(ALICE).await;
    server.register(BOB).await;
    let room = server.create_room("room", ALICE, RoomVersion::V12).await;
    server.join(&room, BOB).await.unwrap();
    let say = async |id: &str, sender: &str, content: Value| {
        let send = SendEvent {
            room_id: room.clone(),
            sender: sender.to_owned(),
            kind: "m.room.message".to_owned(),
            content: content.to_string().into(),
            ..SendEvent::default()
        };
        server.run(id, Kind::SendEvent(send)).await.unwrap();
    };
    let nid = server.room_nid(&room).await;
    let store = server.replica.store().clone();
    let newest = async || {
        store
            .room_timeline(nid)
            .await
            .unwrap()
            .newest_first()
            .next()
            .unwrap()
            .clone()
    };
    assert_eq!(newest().await.notifying, 0);
    say("a", ALICE, json!({"body": "hi"})).await;
    say("b", ALICE, json!({"body": "x", "msgtype": "m.notice"})).await;
    assert_eq!(newest().await.notifying, 1);
    let before = newest().await.position;
    say("c", ALICE, json!({"body": "x", "m.mentions": {"user_ids": [BOB]}})).await;
    say("d", BOB, json!({"body": "x", "m.mentions": {"room": true}})).await;
    say("e", ALICE, json!({"body": "x", "m.mentions": {"room": true}})).await;
    let edit = json!({"body": "x", "m.mentions": {"user_ids": [BOB]}, "m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}});
    say("f", ALICE, edit).await;
    assert_eq!(newest().await.notifying, 4);
    let bob = store.user_nid(BOB.try_into().unwrap()).await.unwrap().unwrap();
    let found = store.highlights(nid, bob, before, i64::MAX).await.unwrap();
    let expected = Highlights {
        highlighting: 3,
        notifying: 1,
    };
    assert_eq!(
        found, expected,
        "Bob may not notify everybody, and is told of an edit that names him"
    );
    server.stop().await;
    // Another leader goes on from where this one was.
    let server = Server::start(&database, "two").await;
    server.send("g", &room, ALICE, "again").await.unwrap();
    let events = server
        .replica
        .store()
        .events_between(nid, 0, i64::MAX, 1)
        .await
        .unwrap();
    assert_eq!(events[0].notifying, 5);
    server.stop().await;
}

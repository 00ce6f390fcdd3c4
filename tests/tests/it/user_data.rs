//! What users keep for themselves, and what they are told of.

use std::sync::Arc;

use http::Method;
use plexus_tests::{Answer, Cluster, PATIENCE, User, encode, eventually};
use serde_json::{Value, json};

super::scenarios! {
    account_data_and_tags_reach_other_devices,
    push_rules_are_kept_and_what_is_none_is_refused,
    unread_counts_follow_receipts_and_rules,
    ignored_users_are_not_heard,
}

const CLIENT: &str = "/_matrix/client/v3";

async fn put(user: &User, path: &str, body: &Value) -> Answer {
    user.http.put(&format!("{CLIENT}{path}"), body).await
}

async fn get(user: &User, path: &str) -> Answer {
    user.http.get(&format!("{CLIENT}{path}")).await
}

async fn delete(user: &User, path: &str) -> Answer {
    user.http.send(Method::DELETE, &format!("{CLIENT}{path}"), "").await
}

fn next_batch(answer: &Value) -> String {
    answer["next_batch"]
        .as_str()
        .expect("every answer has a token")
        .to_owned()
}

/// The contents of a section's account data of a type.
fn contents(section: &Value, kind: &str) -> Vec<Value> {
    let events = section["account_data"]["events"].as_array();
    let of_kind = events.into_iter().flatten().filter(|event| event["type"] == kind);
    of_kind.map(|event| event["content"].clone()).collect()
}

async fn account_data_and_tags_reach_other_devices(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let phone = alice.log_in_again().await;
    let room = alice.create_public_room().await;
    let own = format!("/user/{}", encode(&alice.id));
    let of_room = format!("{own}/rooms/{}", encode(&room));
    let first = phone.sync(None, 0, "").await.ok();
    assert_eq!(contents(&first, "m.push_rules").len(), 1);

    let since = next_batch(&first);
    let waiting = async { phone.sync(Some(&since), 60_000, "").await.ok() };
    let setting = async {
        put(
            &alice,
            &format!("{own}/account_data/m.direct"),
            &json!({&bob.id: [room]}),
        )
        .await
        .ok();
    };
    let (woken, ()) = tokio::join!(waiting, setting);
    assert_eq!(contents(&woken, "m.direct"), [json!({&bob.id: [room]})]);
    assert!(contents(&woken, "m.push_rules").is_empty());

    put(&alice, &format!("{of_room}/tags/m.favourite"), &json!({"order": 0.25}))
        .await
        .ok();
    put(&alice, &format!("{of_room}/tags/u.work"), &json!({})).await.ok();
    delete(&alice, &format!("{of_room}/tags/u.work")).await.ok();
    let tags = json!({"tags": {"m.favourite": {"order": 0.25}}});
    assert_eq!(get(&alice, &format!("{of_room}/tags")).await.ok(), tags);
    let event = alice.say(&room, "hello").await;
    alice
        .act(
            &room,
            "read_markers",
            &json!({"m.fully_read": event, "m.read": event, "m.read.private": event}),
        )
        .await
        .ok();
    let told = phone.sync(Some(&next_batch(&woken)), 0, "").await.ok();
    let joined = &told["rooms"]["join"][&room];
    assert_eq!(contents(joined, "m.tag"), [tags]);
    assert_eq!(contents(joined, "m.fully_read"), [json!({"event_id": event})]);
    let read = get(&alice, &format!("{of_room}/account_data/m.fully_read")).await.ok();
    assert_eq!(read, json!({"event_id": event}));
    foreign_and_odd_account_data_is_refused(&alice, &bob, &own, &of_room).await;
}

async fn foreign_and_odd_account_data_is_refused(alice: &User, bob: &User, own: &str, of_room: &str) {
    for kind in ["m.fully_read", "m.push_rules"] {
        for of in [own, of_room] {
            put(alice, &format!("{of}/account_data/{kind}"), &json!({}))
                .await
                .expect_error(405, "M_BAD_JSON");
        }
    }
    get(alice, &format!("{own}/account_data/org.nothing"))
        .await
        .expect_error(404, "M_NOT_FOUND");
    get(bob, &format!("{own}/account_data/m.direct"))
        .await
        .expect_error(403, "M_FORBIDDEN");
    put(bob, &format!("{of_room}/tags/u.x"), &json!({}))
        .await
        .expect_error(403, "M_FORBIDDEN");
    put(alice, &format!("{of_room}/tags/u.x"), &json!({"order": 2}))
        .await
        .expect_error(400, "M_BAD_JSON");
    put(alice, &format!("{own}/account_data/m.direct"), &json!([]))
        .await
        .expect_error(400, "M_BAD_JSON");
    let large = json!({"text": "x".repeat(130 * 1024)});
    put(alice, &format!("{own}/account_data/org.large"), &large)
        .await
        .expect_error(413, "M_TOO_LARGE");
}

async fn push_rules_are_kept_and_what_is_none_is_refused(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let rules = "/pushrules/global";
    let notify = json!({"actions": ["notify"]});
    for (kind, id, rule) in [
        ("room", "#spam:example.com", notify.clone()),
        ("sender", "@bob:example.com", notify.clone()),
        ("content", "тест", json!({"actions": ["notify"], "pattern": "тест"})),
        (
            "override",
            "mine",
            json!({"actions": [], "conditions": [{"kind": "event_match", "key": "type", "pattern": "x"}]}),
        ),
        ("underride", "last", json!({"actions": ["dont_notify"]})),
    ] {
        let path = format!("{rules}/{kind}/{}", encode(id));
        put(&alice, &path, &rule).await.ok();
        let found = get(&alice, &path).await.ok();
        assert_eq!(
            (&found["rule_id"], &found["enabled"], &found["default"]),
            (&json!(id), &json!(true), &json!(false))
        );
        assert_eq!(
            get(&alice, &format!("{path}/enabled")).await.ok(),
            json!({"enabled": true})
        );
        assert_eq!(
            get(&alice, &format!("{path}/actions")).await.ok(),
            json!({"actions": rule["actions"]})
        );
        let of_kind = get(&alice, &format!("{rules}/{kind}/")).await.ok();
        assert_eq!(get(&alice, &format!("{rules}/")).await.ok()[kind], of_kind);
        assert_eq!(get(&alice, "/pushrules/").await.ok()["global"][kind], of_kind);
        assert!(
            of_kind
                .as_array()
                .is_some_and(|all| all.iter().any(|rule| rule["rule_id"] == id)),
            "{of_kind}"
        );
        put(&alice, &format!("{path}/enabled"), &json!({"enabled": false}))
            .await
            .ok();
        assert_eq!(get(&alice, &path).await.ok()["enabled"], false);
    }
    put(
        &alice,
        &format!("{rules}/room/first?before=%23spam:example.com"),
        &notify,
    )
    .await
    .ok();
    assert_eq!(get(&alice, &format!("{rules}/room/")).await.ok()[0]["rule_id"], "first");
    delete(&alice, &format!("{rules}/room/first")).await.ok();
    let synced = alice.sync(None, 0, "").await.ok();
    assert_eq!(
        contents(&synced, "m.push_rules"),
        [get(&alice, "/pushrules/").await.ok()]
    );
    refuse_bad_rules(&alice).await;
}

async fn refuse_bad_rules(alice: &User) {
    let master = "/pushrules/global/override/.m.rule.master";
    let unknown_attribute = format!("{master}/not_an_attr");
    for path in [
        "/pushrules/",
        "/pushrules/not_a_scope/room/x",
        "/pushrules/global",
        "/pushrules/global/room",
        "/pushrules/global/room/",
        "/pushrules/global/not_a_kind/x",
        "/pushrules/global/room/a%5Cb",
        "/pushrules/global/room/.m.mine",
        &unknown_attribute,
    ] {
        let rule = json!({"actions": ["notify"], "enabled": true});
        put(alice, path, &rule).await.expect_error(400, "M_INVALID_PARAM");
    }
    for (path, body, errcode) in [
        ("/pushrules/global/room/x", json!({}), "M_MISSING_PARAM"),
        (
            "/pushrules/global/room/x",
            json!({"actions": ["shout"]}),
            "M_INVALID_PARAM",
        ),
        ("/pushrules/global/content/x", json!({"actions": []}), "M_INVALID_PARAM"),
        (
            "/pushrules/global/override/x",
            json!({"actions": [], "conditions": [{}]}),
            "M_INVALID_PARAM",
        ),
        (
            "/pushrules/global/room/x?before=none",
            json!({"actions": []}),
            "M_INVALID_PARAM",
        ),
    ] {
        put(alice, path, &body).await.expect_error(400, errcode);
    }
    let text = json!({"enabled": "yes"});
    put(alice, &format!("{master}/enabled"), &text)
        .await
        .expect_error(400, "M_BAD_JSON");
    for path in [
        "/pushrules/global",
        "/pushrules/global/room",
        "/pushrules/not_a_scope/",
        "/pushrules/global/not_a_kind/",
        &unknown_attribute,
    ] {
        get(alice, path).await.expect_error(400, "M_INVALID_PARAM");
    }
    get(alice, "/pushrules").await.expect_error(404, "M_UNRECOGNIZED");
    get(alice, "/pushrules/global/override/none")
        .await
        .expect_error(404, "M_NOT_FOUND");
    delete(alice, "/pushrules/global/override/none")
        .await
        .expect_error(404, "M_NOT_FOUND");
    delete(alice, master).await.expect_error(400, "M_INVALID_PARAM");
    let enable = json!({"enabled": true});
    put(alice, "/pushrules/global/override/.none/enabled", &enable)
        .await
        .expect_error(404, "M_NOT_FOUND");
}

async fn unread_counts_follow_receipts_and_rules(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice.create_public_room().await;
    bob.join(&room).await;
    let first = alice.say(&room, "one").await;
    bob.act(&room, &format!("receipt/m.read/{}", encode(&first)), &json!({}))
        .await
        .ok();
    alice.say(&room, "two").await;
    let mention = json!({"msgtype": "m.text", "body": "three", "m.mentions": {"user_ids": [bob.id]}});
    put(
        &alice,
        &format!("/rooms/{}/send/m.room.message/mention", encode(&room)),
        &mention,
    )
    .await
    .ok();
    until_counts(&bob, &room, (2, 1)).await;
    let all = get(&bob, "/notifications").await.ok();
    let bodies = |answer: &Value| {
        let found = answer["notifications"].as_array().expect("a list").iter();
        found
            .map(|one| (one["event"]["content"]["body"].clone(), one["read"].clone()))
            .collect::<Vec<_>>()
    };
    let (read, unread) = (json!(true), json!(false));
    assert_eq!(
        bodies(&all),
        [
            (json!("three"), unread.clone()),
            (json!("two"), unread.clone()),
            (json!("one"), read)
        ]
    );
    assert!(
        all["notifications"][0]["actions"]
            .as_array()
            .is_some_and(|actions| actions[0] == "notify")
    );
    let page = get(&bob, "/notifications?limit=1").await.ok();
    assert_eq!(bodies(&page).len(), 1);
    let token = page["next_token"].as_str().expect("there are more");
    let next = get(&bob, &format!("/notifications?limit=1&from={token}")).await.ok();
    assert_eq!(bodies(&next), [(json!("two"), unread.clone())]);
    let loud = get(&bob, "/notifications?only=highlight").await.ok();
    assert_eq!(bodies(&loud), [(json!("three"), unread)]);

    put(
        &bob,
        "/pushrules/global/content/two",
        &json!({"pattern": "t*", "actions": ["notify", {"set_tweak": "highlight"}]}),
    )
    .await
    .ok();
    until_counts(&bob, &room, (2, 2)).await;
    put(
        &bob,
        &format!("/pushrules/global/room/{}", encode(&room)),
        &json!({"actions": []}),
    )
    .await
    .ok();
    delete(&bob, "/pushrules/global/content/two").await.ok();
    until_counts(&bob, &room, (1, 1)).await;
    bob.say(&room, "I am here").await;
    until_counts(&bob, &room, (0, 0)).await;
}

async fn until_counts(user: &User, room: &str, wanted: (i64, i64)) {
    eventually(PATIENCE, "the counts", async || {
        let whole = user.sync(None, 0, "").await.ok();
        let unread = &whole["rooms"]["join"][room]["unread_notifications"];
        let found = (
            unread["notification_count"].as_i64(),
            unread["highlight_count"].as_i64(),
        );
        if found == (Some(wanted.0), Some(wanted.1)) {
            Ok(())
        } else {
            Err(unread.to_string())
        }
    })
    .await;
}

async fn ignored_users_are_not_heard(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice.create_public_room().await;
    bob.join(&room).await;
    let list = json!({"ignored_users": {&bob.id: {}}});
    put(
        &alice,
        &format!("/user/{}/account_data/m.ignored_user_list", encode(&alice.id)),
        &list,
    )
    .await
    .ok();
    let unheard = bob.say(&room, "unheard").await;
    alice.say(&room, "heard").await;
    let answers = [
        alice.sync(None, 0, "").await.ok()["rooms"]["join"][&room]["timeline"]["events"].clone(),
        alice.messages(&room, "b", "").await.ok()["chunk"].clone(),
    ];
    for events in answers {
        let text = events.to_string();
        assert!(text.contains("\"heard\"") && !text.contains(&unheard), "{text}");
        assert!(text.contains(&bob.id), "his membership is state: {text}");
    }
    let private = bob
        .create_room(&json!({"preset": "private_chat", "invite": [alice.id]}))
        .await;
    assert!(alice.sync(None, 0, "").await.ok()["rooms"]["invite"][&private].is_null());
}

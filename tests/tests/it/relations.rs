//! Events that relate to events: summed up, listed, in threads.

use std::sync::Arc;

use plexus_tests::{Cluster, User, encode};
use serde_json::{Value, json};

use super::history::{Home, bodies};

super::scenarios! {
    seed_5220_relations_are_summed_up_as_todays_specification_has_it,
    an_edit_is_bundled_if_it_is_valid,
    relations_are_listed,
    threads_are_listed,
}

/// The rule of 2019 (summed up in pages, contexts and single events, not in syncs) is not followed: today's specification wants it in syncs with a gap as
/// well, and has no reactions in it.
async fn seed_5220_relations_are_summed_up_as_todays_specification_has_it(cluster: Arc<Cluster>) {
    let home = Home::new(&cluster).await;
    let bob = User::register(&cluster.http(), "bob").await;
    bob.join(&home.room).await;
    let root = home.user.say(&home.room, "root").await;
    assert!(home.event(&root).await["unsigned"]["m.relations"].is_null());
    home.relate(&bob, "m.thread", &root, "first").await;
    let last = home.relate(&bob, "m.thread", &root, "last").await;
    let edit = home.relate(&bob, "m.replace", &last, "last, edited").await;
    let reference = home.relate(&bob, "m.reference", &root, "see above").await;
    let reaction = json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "+1"}});
    home.send(&bob, "m.reaction", &reaction).await;
    home.try_send(&bob, "m.reaction", &reaction)
        .await
        .expect_error(400, "M_DUPLICATE_ANNOTATION");
    let event = home.event(&root).await;
    let sums = &event["unsigned"]["m.relations"];
    let thread = &sums["m.thread"];
    assert_eq!(
        (&thread["count"], &thread["current_user_participated"]),
        (&json!(2), &json!(true)),
        "{event}"
    );
    assert_eq!(thread["latest_event"]["event_id"], last.as_str());
    assert_eq!(
        thread["latest_event"]["content"]["body"], "last",
        "the content of an edited event stays"
    );
    let inner = &thread["latest_event"]["unsigned"]["m.relations"]["m.replace"];
    assert_eq!(inner["event_id"], edit.as_str(), "{event}");
    assert_eq!(sums["m.reference"], json!({"chunk": [{"event_id": reference}]}));
    assert!(sums["m.annotation"].is_null(), "reactions are not summed up");
    // Everywhere the same, and not in state.
    let page = home.page("dir=b&limit=50").await;
    let context = home.get(&format!("context/{}", encode(&root))).await.ok();
    let in_list = |list: &Value| {
        let events = list.as_array().expect("a list").iter();
        events
            .clone()
            .find(|event| event["event_id"] == root.as_str())
            .map(|event| event["unsigned"]["m.relations"].clone())
    };
    for found in [
        in_list(&page["chunk"]),
        Some(context["event"]["unsigned"]["m.relations"].clone()),
    ] {
        let found = found.expect("the event");
        assert_eq!(found["m.thread"]["count"], 2);
        assert_eq!(found["m.reference"], sums["m.reference"]);
    }
    // Somebody who has said nothing there.
    let carol = User::register(&cluster.http(), "carol").await;
    carol.join(&home.room).await;
    let target = format!("{}/event/{}", home.rooms(), encode(&root));
    let seen = carol.http.get(&target).await.ok();
    assert_eq!(
        seen["unsigned"]["m.relations"]["m.thread"]["current_user_participated"],
        false
    );
    // What is redacted counts no more.
    home.redact(&bob, &last).await;
    home.redact(&bob, &reference).await;
    let after = home.event(&root).await;
    let sums = &after["unsigned"]["m.relations"];
    assert_eq!(
        (&sums["m.thread"]["count"], &sums["m.reference"]),
        (&json!(1), &Value::Null),
        "{after}"
    );
    assert_eq!(sums["m.thread"]["latest_event"]["content"]["body"], "first");
}

async fn an_edit_is_bundled_if_it_is_valid(cluster: Arc<Cluster>) {
    let home = Home::new(&cluster).await;
    let bob = User::register(&cluster.http(), "bob").await;
    bob.join(&home.room).await;
    let root = home.user.say(&home.room, "root").await;
    let edit_of = async |event: &str| {
        let event = home.event(event).await;
        event["unsigned"]["m.relations"]["m.replace"]["event_id"]
            .as_str()
            .map(str::to_owned)
    };
    home.relate(&bob, "m.replace", &root, "by another").await;
    let bare = json!({"body": "x", "m.relates_to": {"rel_type": "m.replace", "event_id": root}});
    home.send(&home.user, "m.room.message", &bare).await;
    home.send(
        &home.user,
        "m.sticker",
        &json!({"m.new_content": {}, "m.relates_to": bare["m.relates_to"]}),
    )
    .await;
    assert_eq!(edit_of(&root).await, None);
    let first = home.relate(&home.user, "m.replace", &root, "first").await;
    let second = home.relate(&home.user, "m.replace", &root, "second").await;
    assert_eq!(edit_of(&root).await, Some(second.clone()));
    assert_eq!(home.event(&root).await["content"]["body"], "root");
    home.relate(&home.user, "m.replace", &second, "an edit of an edit")
        .await;
    assert_eq!(edit_of(&second).await, None);
    home.redact(&home.user, &second).await;
    assert_eq!(edit_of(&root).await, Some(first));
    home.redact(&home.user, &root).await;
    assert_eq!(edit_of(&root).await, None, "a redacted event has no edit");
}

async fn relations_are_listed(cluster: Arc<Cluster>) {
    let home = Home::new(&cluster).await;
    let root = home.user.say(&home.room, "root").await;
    let reply = home.relate(&home.user, "m.thread", &root, "reply").await;
    home.relate(&home.user, "m.replace", &reply, "reply, edited").await;
    home.relate(&home.user, "m.reference", &root, "reference").await;
    let reaction = json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "+1"}});
    home.send(&home.user, "m.reaction", &reaction).await;
    let list = async |more: &str| {
        let target = format!("{}/relations/{}{more}", home.rooms_v1(), encode(&root));
        home.user.http.get(&target).await
    };
    assert_eq!(
        bodies(&list("").await.ok()["chunk"]),
        ["m.reaction", "reference", "reply"]
    );
    assert_eq!(
        bodies(&list("?dir=f").await.ok()["chunk"]),
        ["reply", "reference", "m.reaction"]
    );
    assert_eq!(bodies(&list("/m.thread").await.ok()["chunk"]), ["reply"]);
    assert_eq!(
        bodies(&list("/m.annotation/m.reaction").await.ok()["chunk"]),
        ["m.reaction"]
    );
    assert_eq!(list("/m.annotation/m.room.message").await.ok()["chunk"], json!([]));
    let all = list("?recurse=true").await.ok();
    assert_eq!(
        bodies(&all["chunk"]),
        ["m.reaction", "reference", "reply, edited", "reply"]
    );
    assert_eq!(all["recursion_depth"], 3);
    let edited = &all["chunk"][3]["unsigned"]["m.relations"]["m.replace"];
    assert_eq!(edited["content"]["body"], "reply, edited");
    // Page by page, in both directions.
    for (dir, expected) in [
        ("b", ["m.reaction", "reference", "reply"]),
        ("f", ["reply", "reference", "m.reaction"]),
    ] {
        let (mut found, mut from) = (Vec::new(), String::new());
        for at in 0..3 {
            let page = list(&format!("?limit=1&dir={dir}{from}")).await.ok();
            found.extend(bodies(&page["chunk"]).into_iter().map(str::to_owned));
            assert_eq!(page["next_batch"].is_null(), at == 2, "{dir} {page}");
            if let Some(next) = page["next_batch"].as_str() {
                from = format!("&from={}", encode(next));
            }
        }
        assert_eq!(found, expected);
    }
    list("?dir=x").await.expect_error(400, "M_INVALID_PARAM");
    let nowhere = format!("{}/relations/$nowhere", home.rooms_v1());
    home.user.http.get(&nowhere).await.expect_error(404, "M_NOT_FOUND");
    // The parent is redacted and its children stay; a child is redacted and goes.
    home.redact(&home.user, &root).await;
    assert_eq!(
        bodies(&list("").await.ok()["chunk"]),
        ["m.reaction", "reference", "reply"]
    );
    home.redact(&home.user, &reply).await;
    assert_eq!(bodies(&list("").await.ok()["chunk"]), ["m.reaction", "reference"]);
}

async fn threads_are_listed(cluster: Arc<Cluster>) {
    let home = Home::new(&cluster).await;
    let bob = User::register(&cluster.http(), "bob").await;
    bob.join(&home.room).await;
    let mut roots = Vec::new();
    for name in ["a", "b", "c"] {
        let root = bob.say(&home.room, name).await;
        home.relate(&bob, "m.thread", &root, "reply").await;
        roots.push(root);
    }
    let list = async |query: &str| home.user.http.get(&format!("{}/threads{query}", home.rooms_v1())).await;
    assert_eq!(bodies(&list("").await.ok()["chunk"]), ["c", "b", "a"]);
    assert_eq!(list("?include=participated").await.ok()["chunk"], json!([]));
    home.relate(&home.user, "m.thread", &roots[0], "late").await;
    let all = list("").await.ok();
    assert_eq!(bodies(&all["chunk"]), ["a", "c", "b"]);
    assert_eq!(all["chunk"][0]["unsigned"]["m.relations"]["m.thread"]["count"], 2);
    assert_eq!(bodies(&list("?include=participated").await.ok()["chunk"]), ["a"]);
    let first = list("?limit=2").await.ok();
    assert_eq!(bodies(&first["chunk"]), ["a", "c"]);
    let next = encode(first["next_batch"].as_str().expect("there is more"));
    let second = list(&format!("?limit=2&from={next}")).await.ok();
    assert_eq!(
        (bodies(&second["chunk"]), &second["next_batch"]),
        (vec!["b"], &Value::Null)
    );
    list("?include=some").await.expect_error(400, "M_INVALID_PARAM");
    list("?limit=0").await.expect_error(400, "M_INVALID_PARAM");
    list("?from=x").await.expect_error(400, "M_INVALID_PARAM");
    // A thread begins with an event that stands alone.
    let nested = json!({"body": "x", "m.relates_to": {"rel_type": "m.thread", "event_id": home.relate(&bob, "m.thread", &roots[1], "x").await}});
    home.try_send(&bob, "m.room.message", &nested)
        .await
        .expect_error(400, "M_UNKNOWN");
}

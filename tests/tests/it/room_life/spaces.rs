//! Spaces, and what is told of a room to who is not in it.

use std::sync::Arc;

use plexus_tests::{Cluster, Http, User, encode};
use serde_json::{Value, json};

use super::{people, refusal, refused, room_ids, server_of, set_state};

pub(super) async fn a_space_is_walked_page_by_page(cluster: Arc<Cluster>) {
    let [alice, bob] = people(&cluster.http()).await;
    let space = json!({"preset": "public_chat", "name": "Space", "creation_content": {"type": "m.space"}});
    let (top, middle) = (alice.create_room(&space).await, alice.create_room(&space).await);
    let (open, hidden) = (
        alice
            .create_room(&json!({"preset": "public_chat", "name": "Open"}))
            .await,
        alice.create_room(&json!({"preset": "private_chat"})).await,
    );
    let via = [server_of(&alice)];
    let put = async |parent: &str, child: &str, content: Value| {
        set_state(&alice, parent, "m.space.child", child, &content).await.ok();
    };
    put(&top, &middle, json!({"via": via, "order": "b", "suggested": true})).await;
    put(&top, &hidden, json!({"via": via, "order": "a"})).await;
    put(&top, "!unknown:elsewhere.example", json!({"via": via, "order": "aa"})).await;
    put(&middle, &open, json!({"via": via})).await;
    put(&middle, &top, json!({"via": via})).await;
    let target = |query: &str| format!("/_matrix/client/v1/rooms/{}/hierarchy?{query}", encode(&top));
    let walk = async |user: &User, query: &str| user.http.get(&target(query)).await.ok();
    assert_eq!(
        room_ids(&walk(&alice, "").await["rooms"]),
        [&top, &hidden, &middle, &open].map(Clone::clone)
    );
    let seen = walk(&bob, "").await;
    assert_eq!(room_ids(&seen["rooms"]), [&top, &middle, &open].map(Clone::clone));
    assert_eq!(seen["rooms"][0]["children_state"].as_array().map(Vec::len), Some(3));
    assert_eq!(seen["rooms"][0]["room_type"], "m.space");
    assert_eq!(
        room_ids(&walk(&bob, "max_depth=1").await["rooms"]),
        [top.clone(), middle.clone()]
    );
    assert_eq!(
        room_ids(&walk(&alice, "suggested_only=true").await["rooms"]),
        [&top, &middle].map(Clone::clone)
    );
    let first = walk(&bob, "limit=2").await;
    let next = first["next_batch"].as_str().expect("more");
    let second = walk(&bob, &format!("limit=2&from={}", encode(next))).await;
    assert_eq!(room_ids(&second["rooms"]), [open.as_str()]);
    assert!(second["next_batch"].is_null());
    for broken in [
        format!("max_depth=3&from={}", encode(next)),
        "limit=0".to_owned(),
        "from=x".to_owned(),
    ] {
        assert_eq!(
            refusal(&bob.http.get(&target(&broken)).await),
            refused(400, "M_INVALID_PARAM"),
            "{broken}"
        );
    }
    summaries_are_for_those_who_may_come(&cluster.http(), [&alice, &bob], &open, &hidden).await;
}

async fn summaries_are_for_those_who_may_come(anybody: &Http, [alice, bob]: [&User; 2], open: &str, hidden: &str) {
    let summary = |room: &str| format!("/_matrix/client/v1/room_summary/{}", encode(room));
    let shown = anybody.get(&summary(open)).await.ok();
    assert_eq!(
        (&shown["name"], &shown["num_joined_members"], &shown["membership"]),
        (&json!("Open"), &json!(1), &Value::Null)
    );
    assert_eq!(alice.http.get(&summary(hidden)).await.ok()["membership"], "join");
    assert_eq!(
        refusal(&bob.http.get(&summary(hidden)).await),
        refused(404, "M_NOT_FOUND")
    );
    assert_eq!(
        bob.http
            .get(&format!("/_matrix/client/v1/rooms/{}/hierarchy", encode(hidden)))
            .await
            .status,
        403
    );
}

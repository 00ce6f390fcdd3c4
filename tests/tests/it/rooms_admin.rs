//! What administrators do to rooms: purge their histories, delete them, block them. Seen by those who were in them.

mod deleting;
mod purging;

use std::sync::Arc;

use http::Method;
use plexus_tests::{Cluster, Http, User, encode};
use serde_json::{Value, json};

use self::{
    deleting::{
        a_deleted_room_is_gone_and_its_members_learn_that_they_left, members_are_moved_out_of_a_room_that_is_shut_down,
    },
    purging::{
        a_device_that_was_away_during_a_purge_begins_anew, a_history_is_purged_up_to_a_time,
        a_purged_history_is_gone_for_everybody,
    },
};
use super::{accounts::administrator, history::bodies};

super::scenarios! {
    a_purged_history_is_gone_for_everybody,
    a_device_that_was_away_during_a_purge_begins_anew,
    a_history_is_purged_up_to_a_time,
    a_deleted_room_is_gone_and_its_members_learn_that_they_left,
    members_are_moved_out_of_a_room_that_is_shut_down,
    a_blocked_room_lets_nobody_in,
    only_administrators_purge_and_delete,
}

const ADMIN: &str = "/_synapse/admin";

const CLIENT: &str = "/_matrix/client/v3";

fn room_path(room: &str, rest: &str) -> String {
    format!("{CLIENT}/rooms/{}/{rest}", encode(room))
}

fn next_batch(answer: &Value) -> String {
    answer["next_batch"].as_str().expect("a token").to_owned()
}

async fn a_blocked_room_lets_nobody_in(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let admin = administrator(&cluster).await;
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice.create_public_room().await;
    let target = format!("{ADMIN}/v1/rooms/{}/block", encode(&room));
    assert_eq!(admin.http.get(&target).await.ok(), json!({"block": false}));
    assert_eq!(
        admin.http.put(&target, &json!({"block": true})).await.ok(),
        json!({"block": true})
    );
    assert_eq!(
        admin.http.get(&target).await.ok(),
        json!({"block": true, "user_id": admin.id})
    );
    bob.act(&room, "join", &json!({}))
        .await
        .expect_error(403, "M_FORBIDDEN");
    let invited = alice.act(&room, "invite", &json!({"user_id": bob.id})).await;
    invited.expect_error(403, "M_FORBIDDEN");
    // Those who are in it stay, and may leave.
    alice.say(&room, "still here").await;
    admin.http.put(&target, &json!({"block": false})).await.ok();
    bob.join(&room).await;
    // One that is not known here can be blocked too.
    let unknown = format!("{ADMIN}/v1/rooms/{}/block", encode("!nowhere:elsewhere.example"));
    admin.http.put(&unknown, &json!({"block": true})).await.ok();
    assert_eq!(admin.http.get(&unknown).await.ok()["block"], true);
}

async fn only_administrators_purge_and_delete(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let admin = administrator(&cluster).await;
    let alice = User::register(&http, "alice").await;
    let room = alice.create_public_room().await;
    let said = alice.say(&room, "hello").await;
    let at = |http: &Http, method: Method, target: String| {
        let http = http.clone();
        async move { http.send(method, &target, "{}").await }
    };
    let encoded = encode(&room);
    for (method, target) in [
        (
            Method::POST,
            format!("{ADMIN}/v1/purge_history/{encoded}/{}", encode(&said)),
        ),
        (Method::GET, format!("{ADMIN}/v1/purge_history_status/x")),
        (Method::DELETE, format!("{ADMIN}/v2/rooms/{encoded}")),
        (Method::DELETE, format!("{ADMIN}/v1/rooms/{encoded}")),
        (Method::GET, format!("{ADMIN}/v2/rooms/{encoded}/delete_status")),
        (Method::GET, format!("{ADMIN}/v2/rooms/delete_status/x")),
        (Method::GET, format!("{ADMIN}/v1/rooms/{encoded}/block")),
    ] {
        let refused = at(&alice.http, method.clone(), target.clone()).await;
        refused.expect_error(403, "M_FORBIDDEN");
        at(&http, method, target).await.expect_error(401, "M_MISSING_TOKEN");
    }
    let unknown = encode("!nowhere:elsewhere.example");
    for (method, target) in [
        (
            Method::POST,
            format!("{ADMIN}/v1/purge_history/{unknown}/{}", encode(&said)),
        ),
        (
            Method::POST,
            format!("{ADMIN}/v1/purge_history/{encoded}/{}", encode("$nowhere")),
        ),
        (Method::GET, format!("{ADMIN}/v1/purge_history_status/x")),
        (Method::DELETE, format!("{ADMIN}/v2/rooms/{unknown}")),
        (Method::GET, format!("{ADMIN}/v2/rooms/{encoded}/delete_status")),
        (Method::GET, format!("{ADMIN}/v2/rooms/delete_status/x")),
    ] {
        let refused = at(&admin.http, method, target).await;
        refused.expect_error(404, "M_NOT_FOUND");
    }
    assert_eq!(
        bodies(&alice.messages(&room, "b", "&limit=1").await.ok()["chunk"]),
        ["hello"]
    );
}

//! Who is there.

use std::sync::Arc;

use plexus_tests::{Cluster, User, encode};
use serde_json::{Value, json};

pub(super) async fn those_who_share_a_room_see_who_is_there(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let stranger = User::register(&http, "stranger").await;
    let room = alice.create_public_room().await;
    bob.join(&room).await;
    let unseen = "&set_presence=offline";
    let since = next_batch(&alice.sync(None, 0, unseen).await.ok());
    // Who syncs is online, unless he wants it otherwise.
    bob.sync(None, 0, "").await.ok();
    let (event, since) = until_presence(&alice, since, &bob.id, "online").await;
    assert!(event["content"]["last_active_ago"].as_u64().is_some(), "{event}");
    assert_eq!(event["content"]["currently_active"], true, "{event}");
    // What he says of himself arrives, and can be read at once.
    say(&bob, "unavailable", Some("at lunch")).await;
    let (event, since) = until_presence(&alice, since, &bob.id, "unavailable").await;
    assert_eq!(event["content"]["status_msg"], "at lunch", "{event}");
    let read = bob.http.get(&status_of(&bob)).await.ok();
    assert_eq!(
        (&read["presence"], &read["status_msg"]),
        (&json!("unavailable"), &json!("at lunch"))
    );
    // What he does shows that he is back.
    bob.say(&room, "back again").await;
    let (_, since) = until_presence(&alice, since, &bob.id, "online").await;
    say(&bob, "offline", None).await;
    let (event, since) = until_presence(&alice, since, &bob.id, "offline").await;
    assert!(event["content"].get("currently_active").is_none(), "{event}");
    // Only they see it.
    stranger
        .http
        .get(&status_of(&bob))
        .await
        .expect_error(403, "M_FORBIDDEN");
    stranger
        .http
        .put(&status_of(&bob), &json!({"presence": "online"}))
        .await
        .expect_error(403, "M_FORBIDDEN");
    let strange = json!({"presence": "dancing"});
    bob.http
        .put(&status_of(&bob), &strange)
        .await
        .expect_error(400, "M_INVALID_PARAM");
    bob.sync(None, 0, "&set_presence=dancing")
        .await
        .expect_error(400, "M_INVALID_PARAM");
    // A newcomer sees who is there, and is seen.
    say(&bob, "online", None).await;
    let (_, since) = until_presence(&alice, since, &bob.id, "online").await;
    say(&stranger, "online", Some("new here")).await;
    let before = next_batch(&stranger.sync(None, 0, unseen).await.ok());
    stranger.join(&room).await;
    until_presence(&stranger, before, &bob.id, "online").await;
    until_presence(&alice, since, &stranger.id, "online").await;
    let filter = encode(&json!({"presence": {"not_types": ["m.presence"]}}).to_string());
    let whole = alice.sync(None, 0, &format!("{unseen}&filter={filter}")).await.ok();
    assert!(whole.get("presence").is_none(), "{whole}");
    let whole = alice.sync(None, 0, unseen).await.ok();
    assert!(presence_of(&whole, &bob.id).is_some(), "{whole}");
}

fn status_of(user: &User) -> String {
    format!("/_matrix/client/v3/presence/{}/status", encode(&user.id))
}

async fn say(user: &User, presence: &str, status_msg: Option<&str>) {
    let body = json!({"presence": presence, "status_msg": status_msg});
    user.http.put(&status_of(user), &body).await.ok();
}

fn presence_of<'a>(answer: &'a Value, user_id: &str) -> Option<&'a Value> {
    let events = answer["presence"]["events"].as_array()?;
    events.iter().find(|event| event["sender"] == user_id)
}

/// Syncs unseen until a user is told to be so.
async fn until_presence(user: &User, since: String, of: &str, state: &str) -> (Value, String) {
    let mut since = since;
    let what = format!("{of} to be {state}");
    for _ in 0..100 {
        let answer = user.sync(Some(&since), 5_000, "&set_presence=offline").await.ok();
        since = next_batch(&answer);
        if let Some(event) = presence_of(&answer, of)
            && event["content"]["presence"] == state
        {
            return (event.clone(), since);
        }
    }
    panic!("100 syncs in vain for {what}");
}

fn next_batch(answer: &Value) -> String {
    answer["next_batch"].as_str().expect("a token").to_owned()
}

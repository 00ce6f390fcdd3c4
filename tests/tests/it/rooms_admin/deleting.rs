//! Deleting rooms.

use std::sync::Arc;

use http::Method;
use plexus_tests::{Cluster, PATIENCE, User, encode, eventually, fresh_name};
use serde_json::{Value, json};

use super::{ADMIN, CLIENT, next_batch, room_path};
use crate::{accounts::administrator, history::bodies};

/// Deletes a room, and waits until that is done; what was told of it in the end.
async fn delete(admin: &User, room: &str, body: &Value) -> Value {
    let target = format!("{ADMIN}/v2/rooms/{}", encode(room));
    let begun = admin.http.send(Method::DELETE, &target, body.to_string()).await.ok();
    let id = begun["delete_id"].as_str().expect("a deletion has a name");
    let target = format!("{ADMIN}/v2/rooms/delete_status/{id}");
    eventually(PATIENCE, "a deletion to end", async || {
        let status = admin.http.get(&target).await.ok();
        match status["status"].as_str() {
            Some("complete") => Ok(status),
            Some("active") => Err(status.to_string()),
            _ => panic!("{status}"),
        }
    })
    .await
}

pub(super) async fn a_deleted_room_is_gone_and_its_members_learn_that_they_left(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let admin = administrator(&cluster).await;
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let alias = fresh_name("attic");
    let room = alice
        .create_room(&json!({"preset": "public_chat", "visibility": "public", "room_alias_name": alias, "name": alias}))
        .await;
    bob.join(&room).await;
    let said = alice.say(&room, "hello").await;
    let page = alice.messages(&room, "b", "&limit=1").await.ok();
    let page = page["end"].as_str().expect("there is more").to_owned();
    let tag = format!("{CLIENT}/user/{}/rooms/{}/tags/u.work", encode(&bob.id), encode(&room));
    bob.http.put(&tag, &json!({"order": 0.5})).await.ok();
    let told = next_batch(&bob.sync(None, 0, "").await.ok());
    let nothing = json!({});
    // A process that has not heard yet that the room is gone may miss what it is about to tell of: clients ask again.
    let news = eventually(PATIENCE, "who waits to be told", async || {
        let answer = bob.sync(Some(&told), 30_000, "").await;
        if answer.status == 200 {
            Ok(answer.ok())
        } else {
            Err(answer.text())
        }
    });
    let (done, news) = tokio::join!(delete(&admin, &room, &nothing), news);
    let mut kicked: Vec<&str> = done["shutdown_room"]["kicked_users"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    kicked.sort_unstable();
    let mut members = [alice.id.as_str(), bob.id.as_str()];
    members.sort_unstable();
    assert_eq!(kicked, members, "{done}");
    let of_room = format!("{ADMIN}/v2/rooms/{}/delete_status", encode(&room));
    assert_eq!(admin.http.get(&of_room).await.ok()["results"][0]["status"], "complete");

    // Who waits is told, and so is who comes later.
    admin.http.settled().await;
    assert!(news["rooms"]["leave"].get(&room).is_some(), "{news}");
    let later = bob.sync(Some(&told), 0, "").await.ok();
    assert!(later["rooms"]["leave"].get(&room).is_some(), "{later}");
    let again = bob.sync(Some(&next_batch(&later)), 0, "").await.ok();
    assert!(again["rooms"]["leave"].get(&room).is_none(), "{again}");
    let filter = encode(&json!({"room": {"include_leave": true}}).to_string());
    for query in [String::new(), format!("&filter={filter}")] {
        let whole = bob.sync(None, 0, &query).await.ok();
        assert!(!whole["rooms"].to_string().contains(&room), "{whole}");
    }
    for user in [&alice, &bob] {
        room_is_gone(user, &room, &said, &page).await;
    }
    let other = its_name_is_free(&alice, &alias).await;
    bob.join(&other).await;
    let news = bob.sync(Some(&told), 0, "").await.ok();
    assert!(news["rooms"]["join"].get(&other).is_some(), "{news}");
}

/// Nobody finds the room by any way.
async fn room_is_gone(user: &User, room: &str, said: &str, page: &str) {
    for target in [
        room_path(room, "state"),
        room_path(room, "members"),
        room_path(room, "messages?dir=b"),
        room_path(room, &format!("messages?dir=b&from={}", encode(page))),
        room_path(room, &format!("context/{}", encode(said))),
    ] {
        user.http.get(&target).await.expect_error(403, "M_FORBIDDEN");
    }
    let event = user
        .http
        .get(&room_path(room, &format!("event/{}", encode(said))))
        .await;
    event.expect_error(404, "M_NOT_FOUND");
    let rooms = user.http.get(&format!("{CLIENT}/joined_rooms")).await.ok();
    assert_eq!(rooms["joined_rooms"], json!([]));
    let said = user
        .put_message(room, &fresh_name("txn"), "anybody?")
        .await
        .expect("an answer");
    said.expect_error(403, "M_FORBIDDEN");
    user.act(room, "join", &json!({}))
        .await
        .expect_error(403, "M_FORBIDDEN");
}

/// Its alias leads nowhere, the directory does not have it, and somebody else may have the alias.
async fn its_name_is_free(alice: &User, alias: &str) -> String {
    let server = alice.id.split_once(':').expect("a server").1;
    let alias_path = format!("{CLIENT}/directory/room/{}", encode(&format!("#{alias}:{server}")));
    alice.http.get(&alias_path).await.expect_error(404, "M_NOT_FOUND");
    let listed = json!({"filter": {"generic_search_term": alias}});
    let listed = alice.http.post(&format!("{CLIENT}/publicRooms"), &listed).await.ok();
    assert_eq!(listed["chunk"], json!([]), "{listed}");
    alice
        .create_room(&json!({"preset": "public_chat", "room_alias_name": alias}))
        .await
}

pub(super) async fn members_are_moved_out_of_a_room_that_is_shut_down(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let admin = administrator(&cluster).await;
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let alias = fresh_name("cellar");
    let room = alice
        .create_room(&json!({"preset": "public_chat", "room_alias_name": alias}))
        .await;
    bob.join(&room).await;
    let target = format!("{ADMIN}/v1/shutdown_room/{}", encode(&room));
    let body = json!({"new_room_user_id": admin.id, "room_name": "Notice", "message": "This room is closed"});
    let done = admin.http.post(&target, &body).await.ok();
    let new = done["new_room_id"].as_str().expect("a room").to_owned();
    assert_eq!(done["kicked_users"].as_array().map(Vec::len), Some(2), "{done}");
    assert_eq!(done["local_aliases"].as_array().map(Vec::len), Some(1), "{done}");
    for user in [&alice, &bob] {
        eventually(PATIENCE, "the members to be in the new room", async || {
            let rooms = user.http.get(&format!("{CLIENT}/joined_rooms")).await.ok();
            if rooms["joined_rooms"] == json!([new]) {
                Ok(())
            } else {
                Err(rooms.to_string())
            }
        })
        .await;
        let said = user.messages(&new, "b", "").await.ok();
        assert!(bodies(&said["chunk"]).contains(&"This room is closed"), "{said}");
        let refused = user
            .put_message(&new, &fresh_name("txn"), "why?")
            .await
            .expect("an answer");
        refused.expect_error(403, "M_FORBIDDEN");
        let refused = user.act(&room, "join", &json!({})).await;
        refused.expect_error(403, "M_FORBIDDEN");
    }
    let server = alice.id.split_once(':').expect("a server").1;
    let alias_path = format!("{CLIENT}/directory/room/{}", encode(&format!("#{alias}:{server}")));
    assert_eq!(alice.http.get(&alias_path).await.ok()["room_id"], new.as_str());
    admin
        .http
        .post(&target, &json!({}))
        .await
        .expect_error(400, "M_MISSING_PARAM");
    let nobody = json!({"new_room_user_id": format!("@{}:{server}", fresh_name("nobody"))});
    admin
        .http
        .post(&target, &nobody)
        .await
        .expect_error(400, "M_INVALID_PARAM");
}

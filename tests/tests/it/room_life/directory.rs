//! The directory of public rooms.

use std::sync::Arc;

use plexus_tests::{Cluster, Http, User, encode, fresh_name};
use serde_json::{Value, json};

use super::{V3, people, refusal, refused, room_ids, server_of};

async fn public_rooms(user: &User, body: &Value) -> Value {
    user.http.post(&format!("{V3}/publicRooms"), body).await.ok()
}

pub(super) async fn the_directory_is_paged_and_searched(cluster: Arc<Cluster>) {
    let [alice, bob] = people(&cluster.http()).await;
    let word = fresh_name("Wombles");
    let mut rooms = Vec::new();
    for i in 0..7 {
        let body = json!({"visibility": "public", "name": format!("{i}"), "topic": format!("about {word}")});
        rooms.push(alice.create_room(&body).await);
    }
    bob.join(&rooms[4]).await;
    let search = |limit: usize, since: Option<&str>| json!({"limit": limit, "since": since, "filter": {"generic_search_term": word.to_lowercase()}});
    let all = public_rooms(&alice, &search(100, None)).await;
    let mut expected = rooms.clone();
    expected.swap_remove(4);
    expected.sort_by_key(|room| rooms.iter().position(|other| other == room));
    expected.insert(0, rooms[4].clone());
    assert_eq!(room_ids(&all["chunk"]), expected, "more members first");
    let first = &all["chunk"][0];
    let shown = json!({"num_joined_members": first["num_joined_members"], "join_rule": first["join_rule"], "world_readable": first["world_readable"],
        "guest_can_join": first["guest_can_join"]});
    assert_eq!(
        shown,
        json!({"num_joined_members": 2, "join_rule": "public", "world_readable": false, "guest_can_join": false})
    );
    the_pages_are_the_whole(&alice, &search, &expected).await;
    anybody_looks_and_nonsense_is_refused(&cluster.http(), &alice).await;
    // Rooms leave the directory, and only those with the power take them out.
    let listed = format!("{V3}/directory/list/room/{}", encode(&rooms[4]));
    assert_eq!(
        bob.http.put(&listed, &json!({"visibility": "private"})).await.status,
        403
    );
    alice.http.put(&listed, &json!({"visibility": "private"})).await.ok();
    assert_eq!(
        room_ids(&public_rooms(&alice, &search(100, None)).await["chunk"]),
        expected[1..]
    );
    assert_eq!(
        alice
            .http
            .get(&format!("{V3}/directory/list/room/%21no%3Awhere"))
            .await
            .status,
        404
    );
    let network = format!("{V3}/directory/list/appservice/irc/{}", encode(&rooms[4]));
    assert_eq!(
        alice.http.put(&network, &json!({"visibility": "public"})).await.status,
        403
    );
}

/// All pages forwards, and back again.
async fn the_pages_are_the_whole(alice: &User, search: &impl Fn(usize, Option<&str>) -> Value, expected: &[String]) {
    let (mut pages, mut since) = (Vec::new(), None::<String>);
    let last = loop {
        let page = public_rooms(alice, &search(3, since.as_deref())).await;
        pages.extend(room_ids(&page["chunk"]));
        match page["next_batch"].as_str() {
            Some(next) => since = Some(next.to_owned()),
            None => break page,
        }
    };
    assert_eq!(pages, expected);
    let mut since = last["prev_batch"].as_str().map(str::to_owned);
    let mut back = Vec::new();
    while let Some(token) = since {
        let page = public_rooms(alice, &search(3, Some(&token))).await;
        back.splice(0..0, room_ids(&page["chunk"]));
        since = page["prev_batch"].as_str().map(str::to_owned);
    }
    assert_eq!(back, expected[..expected.len() - room_ids(&last["chunk"]).len()]);
}

/// Without a token, of this server by name, of others, and with limits that are none.
async fn anybody_looks_and_nonsense_is_refused(anybody: &Http, alice: &User) {
    let target = format!("{V3}/publicRooms");
    assert!(anybody.get(&format!("{target}?limit=1")).await.ok()["next_batch"].is_string());
    assert_eq!(
        anybody
            .get(&format!("{target}?server={}", server_of(alice)))
            .await
            .status,
        200
    );
    assert_eq!(
        anybody.get(&format!("{target}?server=elsewhere.example")).await.status,
        401,
        "strangers do not make this server ask others"
    );
    for broken in ["limit=abc", "since=abc"] {
        let seed_5257 = anybody.get(&format!("{target}?{broken}")).await;
        assert_eq!(refusal(&seed_5257), refused(400, "M_INVALID_PARAM"), "{broken}");
    }
    let network = public_rooms(alice, &json!({"third_party_instance_id": "irc"})).await;
    assert_eq!(network["chunk"], json!([]));
}

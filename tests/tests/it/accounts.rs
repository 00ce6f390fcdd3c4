//! Accounts, their sessions, and what is kept for them.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use plexus_tests::{Answer, Cluster, Http, PATIENCE, User, encode, eventually, fresh_name};
use serde_json::{Value, json};
use sha1::Sha1;

super::scenarios! {
    profiles_and_filters_are_kept,
    an_ended_session_is_refused_everywhere,
    administrators_are_made_with_the_shared_secret,
}

async fn profiles_and_filters_are_kept(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let room = alice.create_public_room().await;
    let profile = format!("/_matrix/client/v3/profile/{}", encode(&alice.id));
    alice
        .http
        .put(&format!("{profile}/displayname"), &json!({"displayname": "Alice ☂"}))
        .await
        .ok();
    assert_eq!(alice.http.get(&profile).await.ok()["displayname"], "Alice ☂");
    let member = format!(
        "/_matrix/client/v3/rooms/{}/state/m.room.member/{}",
        encode(&room),
        encode(&alice.id)
    );
    eventually(PATIENCE, "the name in the room", async || {
        let content = alice.http.get(&member).await.ok();
        if content["displayname"] == "Alice ☂" {
            Ok(())
        } else {
            Err(content.to_string())
        }
    })
    .await;
    let filters = format!("/_matrix/client/v3/user/{}/filter", encode(&alice.id));
    let filter = json!({"room": {"timeline": {"limit": 1}}});
    let stored = alice.http.post(&filters, &filter).await.ok();
    let id = stored["filter_id"].as_str().expect("a filter id");
    assert_eq!(
        alice.http.get(&format!("{filters}/{id}")).await.ok()["room"]["timeline"]["limit"],
        1
    );
    let answer = alice.sync(None, 0, &format!("&filter={id}")).await.ok();
    let events = &answer["rooms"]["join"][&room]["timeline"]["events"];
    assert_eq!(events.as_array().map(Vec::len), Some(1), "{events}");
}

async fn an_ended_session_is_refused_everywhere(cluster: Arc<Cluster>) {
    let first = User::register(&cluster.http(), "alice").await;
    let second = first.log_in_again().await;
    assert_ne!(first.device, second.device);
    // Every process has seen both sessions before one of them ends.
    for name in serving(&cluster) {
        for user in [&first, &second] {
            let who = user
                .at(&cluster.direct(name))
                .http
                .get("/_matrix/client/v3/account/whoami")
                .await
                .ok();
            assert_eq!(
                (&who["user_id"], &who["device_id"]),
                (&json!(user.id), &json!(user.device))
            );
        }
    }
    second.http.post("/_matrix/client/v3/logout", &json!({})).await.ok();
    for name in serving(&cluster) {
        let http = cluster.direct(name);
        let refused = async || {
            let answer = second.at(&http).http.get("/_matrix/client/v3/account/whoami").await;
            if answer.status == 401 {
                Ok(answer)
            } else {
                Err(answer.text())
            }
        };
        // A process that neither served the logout nor waited for it may be some milliseconds behind.
        eventually(PATIENCE, "the session to end", refused)
            .await
            .expect_error(401, "M_UNKNOWN_TOKEN");
        first.at(&http).http.get("/_matrix/client/v3/account/whoami").await.ok();
    }
    cluster
        .http()
        .get("/_matrix/client/v3/account/whoami")
        .await
        .expect_error(401, "M_MISSING_TOKEN");
}

/// The processes that take requests of clients.
fn serving(cluster: &Cluster) -> Vec<&str> {
    let names = cluster.names();
    names.into_iter().filter(|name| !name.starts_with("master")).collect()
}

/// Makes an administrator as tools do who know the shared secret; with what was sent.
async fn register_administrator(http: &Http, secret: &str, name: &str) -> (Answer, Value) {
    let nonce = http.get("/_synapse/admin/v1/register").await.ok();
    let nonce = nonce["nonce"].as_str().expect("a nonce").to_owned();
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("any key fits");
    mac.update(format!("{nonce}\0{name}\0secret word\0admin").as_bytes());
    let digits = |text: String, byte: &u8| format!("{text}{byte:02x}");
    let mac = mac.finalize().into_bytes().iter().fold(String::new(), digits);
    let body = json!({
        "nonce": nonce, "username": name, "password": "secret word", "admin": true, "mac": mac,
    });
    // A nonce is good at any process.
    (http.post("/_synapse/admin/v1/register", &body).await, body)
}

/// An administrator of the server.
pub(super) async fn administrator(cluster: &Cluster) -> User {
    let http = cluster.http();
    let name = fresh_name("admin");
    let (answer, _) = register_administrator(&http, cluster.registration_secret(), &name).await;
    let made = answer.ok();
    let text = |key: &str| made[key].as_str().expect("a text").to_owned();
    User {
        id: text("user_id"),
        device: text("device_id"),
        http: http.with_token(&text("access_token")),
    }
}

async fn administrators_are_made_with_the_shared_secret(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let register = async |secret: &str, name: &str| register_administrator(&http, secret, name).await;
    let name = fresh_name("admin");
    register("guessed", &name).await.0.expect_error(403, "M_FORBIDDEN");
    let (answer, body) = register(cluster.registration_secret(), &name).await;
    let token = answer.ok()["access_token"].as_str().expect("a session").to_owned();
    let who = http
        .with_token(&token)
        .get("/_matrix/client/v3/account/whoami")
        .await
        .ok();
    assert!(
        who["user_id"]
            .as_str()
            .is_some_and(|id| id.starts_with(&format!("@{name}:"))),
        "{who}"
    );
    // A nonce works once.
    let again = http.post("/_synapse/admin/v1/register", &body).await;
    assert_eq!(again.status, 400, "{}", again.text());
}

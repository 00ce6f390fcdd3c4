//! What a person does with his account, from the first login to the last.

use std::sync::Arc;

use http::Method;
use plexus_tests::{Answer, Cluster, Http, PATIENCE, User, encode, eventually, fresh_name};
use serde_json::{Value, json};

super::scenarios! {
    devices_end_after_a_proof_of_the_very_same_request,
    a_new_password_ends_the_other_sessions,
    a_refreshed_token_ends_once_the_next_one_is_used,
    a_registration_goes_on_at_any_process,
    a_closed_account_is_gone_from_everywhere,
    a_token_shows_another_service_who_one_is,
    locked_and_suspended_users_do_less,
    profiles_have_limits,
    a_device_knows_when_it_was_seen,
}

const PASSWORD: &str = "correct horse battery staple";
const CLIENT: &str = "/_matrix/client/v3";

/// A stage of interactive authentication by password.
fn password_of(user: &User, password: &str) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.id},
        "password": password,
    })
}

fn with_session(mut stage: Value, challenge: &Answer) -> Value {
    stage["session"] = challenge.json()["session"].clone();
    stage
}

async fn delete_device(user: &User, device: &str, auth: Option<Value>) -> Answer {
    let body = auth.map_or_else(|| json!({}), |auth| json!({"auth": auth}));
    let target = format!("{CLIENT}/devices/{}", encode(device));
    user.http.send(Method::DELETE, &target, body.to_string()).await
}

fn expect_challenge(answer: &Answer, flows: &Value) {
    let body = answer.json();
    assert_eq!((answer.status, &body["flows"]), (401, flows), "{body}");
    assert!(body["session"].is_string() && body["params"].is_object(), "{body}");
}

async fn log_in(http: &Http, user: &User, password: &str) -> Answer {
    let body = json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.id},
        "password": password,
    });
    http.post(&format!("{CLIENT}/login"), &body).await
}

/// Logs in until the answer is this error: another process may be some milliseconds behind the change.
async fn until_refused(http: &Http, user: &User, password: &str, status: u16, errcode: &str) {
    let refused = eventually(PATIENCE, "the login to be refused", async || {
        let answer = log_in(http, user, password).await;
        if answer.status == status {
            Ok(answer)
        } else {
            Err(answer.text())
        }
    });
    refused.await.expect_error(status, errcode);
}

async fn whoami(user: &User) -> Answer {
    user.http.get(&format!("{CLIENT}/account/whoami")).await
}

/// Waits until a session has ended at the process that answers.
async fn until_ended(user: &User) {
    eventually(PATIENCE, "the session to end", async || {
        let answer = whoami(user).await;
        if answer.status == 401 {
            Ok(())
        } else {
            Err(answer.text())
        }
    })
    .await;
}

async fn devices_end_after_a_proof_of_the_very_same_request(cluster: Arc<Cluster>) {
    let flows = json!([{"stages": ["m.login.password"]}]);
    let alice = User::register(&cluster.http(), "alice").await;
    let eve = User::register(&cluster.http(), "eve").await;
    let (laptop, watch) = (alice.log_in_again().await, alice.log_in_again().await);
    let renamed = format!("{CLIENT}/devices/{}", encode(&laptop.device));
    alice
        .http
        .put(&renamed, &json!({"display_name": "Laptop ☂"}))
        .await
        .ok();
    assert_eq!(alice.http.get(&renamed).await.ok()["display_name"], "Laptop ☂");
    let listed = alice.http.get(&format!("{CLIENT}/devices")).await.ok();
    assert_eq!(listed["devices"].as_array().map(Vec::len), Some(3), "{listed}");
    let unknown = format!("{CLIENT}/devices/NEVER");
    alice.http.get(&unknown).await.expect_error(404, "M_NOT_FOUND");
    let named = json!({"display_name": "x"});
    alice.http.put(&unknown, &named).await.expect_error(404, "M_NOT_FOUND");

    let challenge = delete_device(&alice, &laptop.device, None).await;
    expect_challenge(&challenge, &flows);
    let wrong = delete_device(&alice, &laptop.device, Some(password_of(&alice, "guessed"))).await;
    expect_challenge(&wrong, &flows);
    assert_eq!(wrong.json()["errcode"], "M_FORBIDDEN");
    // Somebody who has her token proves who he is himself.
    let eves = delete_device(&alice, &laptop.device, Some(password_of(&eve, PASSWORD))).await;
    eves.expect_error(403, "M_FORBIDDEN");
    // The session was begun for another device.
    let proof = with_session(password_of(&alice, PASSWORD), &challenge);
    let other = delete_device(&alice, &watch.device, Some(proof.clone())).await;
    other.expect_error(403, "M_FORBIDDEN");
    // Any process goes on with it.
    let elsewhere = alice.at(&cluster.wrong_http());
    delete_device(&elsewhere, &laptop.device, Some(proof.clone()))
        .await
        .ok();
    until_ended(&laptop).await;
    alice.http.get(&renamed).await.expect_error(404, "M_NOT_FOUND");
    whoami(&watch).await.ok();
    // And it is good once.
    let again = delete_device(&alice, &laptop.device, Some(json!({"session": proof["session"]}))).await;
    expect_challenge(&again, &flows);

    let many = json!({"devices": [watch.device], "auth": password_of(&alice, PASSWORD)});
    alice.http.post(&format!("{CLIENT}/delete_devices"), &many).await.ok();
    until_ended(&watch).await;
    whoami(&alice).await.ok();
}

async fn a_new_password_ends_the_other_sessions(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let other = alice.log_in_again().await;
    let target = format!("{CLIENT}/account/password");
    let change = async |old: &str, new: &str, logout: bool| {
        let auth = password_of(&alice, old);
        let body = json!({"auth": auth, "new_password": new, "logout_devices": logout});
        alice.http.post(&target, &body).await
    };
    assert_eq!(change("guessed", "new", true).await.status, 401);
    change(PASSWORD, "the second word", false).await.ok();
    whoami(&other).await.ok();
    until_refused(&cluster.http(), &alice, PASSWORD, 403, "M_FORBIDDEN").await;
    change("the second word", "the third word", true).await.ok();
    until_ended(&other).await;
    whoami(&alice).await.ok();
    log_in(&cluster.http(), &alice, "the third word").await.ok();
    let nobody = cluster.http().post(&target, &json!({"new_password": "x"})).await;
    nobody.expect_error(401, "M_MISSING_TOKEN");
    // Row 5256 of the seed.
    let logout = format!("{CLIENT}/logout");
    let nobody = cluster.http().post(&logout, &json!({})).await;
    nobody.expect_error(401, "M_MISSING_TOKEN");
    let unknown = cluster.http().with_token("guessed").post(&logout, &json!({})).await;
    unknown.expect_error(401, "M_UNKNOWN_TOKEN");
}

async fn a_refreshed_token_ends_once_the_next_one_is_used(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let body = json!({
        "type": "m.login.password", "user": alice.id, "password": PASSWORD, "refresh_token": true,
    });
    let first = cluster.http().post(&format!("{CLIENT}/login"), &body).await.ok();
    assert!(first["expires_in_ms"].as_i64().is_some_and(|ms| ms > 0), "{first}");
    let refresh = async |tokens: &Value| {
        let shown = json!({"refresh_token": tokens["refresh_token"]});
        cluster.http().post(&format!("{CLIENT}/refresh"), &shown).await
    };
    let session = |tokens: &Value| User {
        http: cluster
            .http()
            .with_token(tokens["access_token"].as_str().expect("a token")),
        ..alice.clone()
    };
    let lost = refresh(&first).await.ok();
    let second = refresh(&first).await.ok();
    // The answer that was lost is worth nothing now; what was shown is, until the next one is used.
    until_ended(&session(&lost)).await;
    whoami(&session(&first)).await.ok();
    let who = whoami(&session(&second)).await.ok();
    assert_eq!(who["device_id"], first["device_id"]);
    until_ended(&session(&first)).await;
    let used = refresh(&first).await;
    used.expect_error(401, "M_UNKNOWN_TOKEN");
    assert_eq!(used.json()["soft_logout"], true);
    let third = refresh(&second).await.ok();
    whoami(&session(&third)).await.ok();
}

async fn a_registration_goes_on_at_any_process(cluster: Arc<Cluster>) {
    let target = format!("{CLIENT}/register");
    let name = fresh_name("Capital");
    let first = json!({
        "username": name, "password": PASSWORD, "device_id": "xyzzy", "initial_device_display_name": "First",
    });
    let challenge = cluster.http().post(&target, &first).await;
    expect_challenge(&challenge, &json!([{"stages": ["m.login.dummy"]}]));
    let stage = json!({"auth": with_session(json!({"type": "m.login.dummy"}), &challenge)});
    let made = cluster.wrong_http().post(&target, &stage).await.ok();
    let wanted = format!("@{}:", name.to_lowercase());
    assert!(
        made["user_id"].as_str().is_some_and(|id| id.starts_with(&wanted)),
        "{made}"
    );
    assert_eq!(made["device_id"], "xyzzy");
    // The answer may have been lost: the same request gets the same account.
    let again = cluster.http().post(&target, &stage).await.ok();
    assert_eq!(again["user_id"], made["user_id"]);
    let token = again["access_token"].as_str().expect("a session").to_owned();
    let device = cluster
        .http()
        .with_token(&token)
        .get(&format!("{CLIENT}/devices/xyzzy"))
        .await;
    assert_eq!(device.ok()["display_name"], "First");

    let register = async |body: Value| cluster.http().post(&target, &body).await;
    let dummy = json!({"type": "m.login.dummy"});
    register(json!({"username": name, "password": "x", "auth": dummy}))
        .await
        .expect_error(400, "M_USER_IN_USE");
    for bad in ["it's", "a b", "_x", "ä", "a:b", "@a:elsewhere", ""] {
        let refused = register(json!({"username": bad, "password": "x", "auth": dummy})).await;
        refused.expect_error(400, "M_INVALID_USERNAME");
        let asked = format!("{target}/available?username={}", encode(bad));
        cluster.http().get(&asked).await.expect_error(400, "M_INVALID_USERNAME");
    }
    let availability = format!("{target}/available?username={}", encode(&name));
    cluster
        .http()
        .get(&availability)
        .await
        .expect_error(400, "M_USER_IN_USE");
    let silent = json!({
        "username": fresh_name("silent"), "password": "x", "auth": dummy, "inhibit_login": true,
    });
    let silent = register(silent).await.ok();
    assert!(
        silent.get("access_token").is_none() && silent.get("device_id").is_none(),
        "{silent}"
    );
    let guest = cluster.http().post(&format!("{target}?kind=guest"), &json!({})).await;
    assert!(guest.ok()["user_id"].is_string(), "guests are let in here");
    let odd = cluster.http().post(&format!("{target}?kind=bird"), &json!({})).await;
    odd.expect_error(400, "M_INVALID_PARAM");
}

async fn a_closed_account_is_gone_from_everywhere(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let bob = User::register(&cluster.http(), "bob").await;
    let room = alice.create_public_room().await;
    bob.join(&room).await;
    let target = format!("{CLIENT}/account/deactivate");
    let close = async |password: &str| {
        let body = json!({"auth": password_of(&bob, password), "erase": true});
        bob.http.post(&target, &body).await
    };
    assert_eq!(close("guessed").await.status, 401);
    assert_eq!(close(PASSWORD).await.ok()["id_server_unbind_result"], "success");
    until_ended(&bob).await;
    until_refused(&cluster.http(), &bob, PASSWORD, 403, "M_FORBIDDEN").await;
    let member = format!(
        "{CLIENT}/rooms/{}/state/m.room.member/{}",
        encode(&room),
        encode(&bob.id)
    );
    eventually(PATIENCE, "the room to be left", async || {
        let content = alice.http.get(&member).await.ok();
        if content["membership"] == "leave" {
            Ok(())
        } else {
            Err(content.to_string())
        }
    })
    .await;
    let profile = format!("{CLIENT}/profile/{}", encode(&bob.id));
    eventually(PATIENCE, "the profile to go", async || {
        let answer = alice.http.get(&profile).await;
        if answer.status == 404 {
            Ok(())
        } else {
            Err(answer.text())
        }
    })
    .await;
    // The name stays his.
    let name = bob.id[1..].split(':').next().expect("a localpart").to_owned();
    let body = json!({"username": name, "password": "x", "auth": {"type": "m.login.dummy"}});
    let taken = cluster.http().post(&format!("{CLIENT}/register"), &body).await;
    taken.expect_error(400, "M_USER_IN_USE");
}

async fn a_token_shows_another_service_who_one_is(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let bob = User::register(&cluster.http(), "bob").await;
    let target = format!("{CLIENT}/user/{}/openid/request_token", encode(&alice.id));
    bob.http
        .post(&target, &json!({}))
        .await
        .expect_error(403, "M_FORBIDDEN");
    let given = alice.http.post(&target, &json!({})).await.ok();
    assert_eq!(given["token_type"], "Bearer");
    let server = alice.id.split_once(':').map(|(_, server)| server);
    assert_eq!(given["matrix_server_name"].as_str(), server);
    let info = "/_matrix/federation/v1/openid/userinfo";
    let shown = async |http: Http, token: &str| http.get(&format!("{info}?access_token={}", encode(token))).await;
    let token = given["access_token"].as_str().expect("a token");
    for http in [cluster.http(), cluster.wrong_http()] {
        assert_eq!(shown(http, token).await.ok(), json!({"sub": alice.id}));
    }
    shown(cluster.http(), "guessed")
        .await
        .expect_error(401, "M_UNKNOWN_TOKEN");
    cluster.http().get(info).await.expect_error(401, "M_MISSING_TOKEN");
    // It is no access token.
    let with_it = cluster.http().with_token(token);
    let with_it = with_it.get(&format!("{CLIENT}/account/whoami")).await;
    with_it.expect_error(401, "M_UNKNOWN_TOKEN");
}

async fn locked_and_suspended_users_do_less(cluster: Arc<Cluster>) {
    let admin = super::accounts::administrator(&cluster).await;
    let bob = User::register(&cluster.http(), "bob").await;
    let room = bob.create_public_room().await;
    let measure = |what: &str| format!("/_matrix/client/v1/admin/{what}/{}", encode(&bob.id));
    bob.http
        .put(&measure("lock"), &json!({"locked": true}))
        .await
        .expect_error(403, "M_FORBIDDEN");
    admin
        .http
        .put(&measure("suspend"), &json!({"suspended": true}))
        .await
        .ok();
    assert_eq!(
        admin.http.get(&measure("suspend")).await.ok(),
        json!({"suspended": true})
    );
    let say = async || {
        let sent = bob.put_message(&room, &fresh_name("txn"), "hello").await;
        sent.map_err(|error| error.0).expect("the server is there")
    };
    eventually(PATIENCE, "the suspension", async || match say().await {
        answer if answer.status == 403 => Ok(answer),
        answer => Err(answer.text()),
    })
    .await
    .expect_error(403, "M_USER_SUSPENDED");
    bob.sync(None, 0, "").await.ok();
    bob.act(&room, "leave", &json!({})).await.ok();
    admin
        .http
        .put(&measure("suspend"), &json!({"suspended": false}))
        .await
        .ok();

    admin.http.put(&measure("lock"), &json!({"locked": true})).await.ok();
    let refused = eventually(PATIENCE, "the lock", async || match whoami(&bob).await {
        answer if answer.status == 401 => Ok(answer),
        answer => Err(answer.text()),
    })
    .await;
    refused.expect_error(401, "M_USER_LOCKED");
    assert_eq!(refused.json()["soft_logout"], true);
    until_refused(&cluster.http(), &bob, PASSWORD, 401, "M_USER_LOCKED").await;
    admin.http.put(&measure("lock"), &json!({"locked": false})).await.ok();
    eventually(PATIENCE, "the lock to end", async || match whoami(&bob).await {
        answer if answer.status == 200 => Ok(()),
        answer => Err(answer.text()),
    })
    .await;
    admin.http.put(&measure("lock"), &json!({"locked": true})).await.ok();
    bob.http.post(&format!("{CLIENT}/logout"), &json!({})).await.ok();
    let nobody = format!("/_matrix/client/v1/admin/lock/{}", encode("@never:elsewhere"));
    admin.http.get(&nobody).await.expect_error(400, "M_INVALID_PARAM");
    let himself = format!("/_matrix/client/v1/admin/lock/{}", encode(&admin.id));
    let refused = admin.http.put(&himself, &json!({"locked": true})).await;
    refused.expect_error(403, "M_FORBIDDEN");
    let capabilities = admin.http.get(&format!("{CLIENT}/capabilities")).await.ok();
    let moderation = &capabilities["capabilities"]["m.account_moderation"];
    assert_eq!(*moderation, json!({"lock": true, "suspend": true}));
}

/// Row 5309 of the seed.
async fn profiles_have_limits(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let profile = format!("{CLIENT}/profile/{}", encode(&alice.id));
    let set = async |field: &str, value: &str| {
        let body = json!({field: value});
        alice.http.put(&format!("{profile}/{}", encode(field)), &body).await
    };
    for (field, most) in [("displayname", 100), ("avatar_url", 1000)] {
        set(field, &"ä".repeat(most)).await.ok();
        assert_eq!(set(field, &"ä".repeat(most + 1)).await.status, 400, "{field}");
    }
    set(&"k".repeat(255), "x").await.ok();
    set(&"k".repeat(256), "x").await.expect_error(400, "M_KEY_TOO_LARGE");
    set("org.example.large", &"x".repeat(64 * 1024))
        .await
        .expect_error(400, "M_PROFILE_TOO_LARGE");
    let unknown = format!("{CLIENT}/profile/{}", encode("@never:localhost"));
    alice.http.get(&unknown).await.expect_error(404, "M_NOT_FOUND");
}

async fn a_device_knows_when_it_was_seen(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let bob = User::register(&cluster.http(), "bob").await;
    let whois = format!("{CLIENT}/admin/whois/{}", encode(&alice.id));
    bob.http.get(&whois).await.expect_error(403, "M_FORBIDDEN");
    let seen = eventually(PATIENCE, "the device to be seen", async || {
        let shown = alice.http.get(&whois).await.ok();
        let connections = &shown["devices"][&alice.device]["sessions"][0]["connections"];
        connections.get(0).cloned().ok_or_else(|| shown.to_string())
    })
    .await;
    assert!(seen["last_seen"].is_number() && seen["ip"].is_string(), "{seen}");
    let device = format!("{CLIENT}/devices/{}", encode(&alice.device));
    let device = alice.http.get(&device).await.ok();
    assert!(device["last_seen_ts"].is_number(), "{device}");
}

//! What accounts are like where the configuration says something else than the default.

use std::fs;

use plexus_tests::{Http, PATIENCE, Solo, User, encode, eventually, free_port, fresh_name, run};
use serde_json::{Value, json};

const CLIENT: &str = "/_matrix/client/v3";
const PASSWORD: &str = "correct horse battery staple";

/// A server of the test's own, with these settings.
struct Server {
    solo: Solo,
    http: Http,
    /// `/metrics`.
    internal: Http,
    // Last: what runs in it ends first.
    _folder: tempfile::TempDir,
}

async fn start(files: &[(&str, &str)], settings: &[&str]) -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("the folder can be written to");
    }
    let (port, internal) = (free_port(), free_port());
    let own = [
        format!("listen.address=127.0.0.1:{port}"),
        format!("internal.address=127.0.0.1:{internal}"),
    ];
    let set = own.iter().map(String::as_str).chain(settings.iter().copied());
    let mut arguments = vec!["serve"];
    if files.iter().any(|(name, _)| *name == "plexus.toml") {
        arguments.extend(["--config", "plexus.toml"]);
    }
    arguments.extend(set.flat_map(|one| ["--set", one]));
    let solo = Solo::start(folder.path(), &arguments);
    let http = Http::new(&format!("http://127.0.0.1:{port}"));
    solo.until_answers(&http).await;
    Server {
        solo,
        http,
        internal: Http::new(&format!("http://127.0.0.1:{internal}")),
        _folder: folder,
    }
}

impl Server {
    async fn register(&self, body: &Value) -> plexus_tests::Answer {
        self.http.post(&format!("{CLIENT}/register"), body).await
    }

    /// How often passwords were checked.
    async fn password_checks(&self) -> u64 {
        let metrics = self.internal.get("/metrics").await.text();
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("plexus_password_checks_total "));
        line.map_or(0, |number| number.trim().parse().expect("a number"))
    }
}

#[test]
fn guests_look_around_and_can_stay() {
    run(async {
        let server = start(&[], &["registration.guests=true"]).await;
        let made = server
            .http
            .post(
                &format!("{CLIENT}/register?kind=guest"),
                &json!({"initial_device_display_name": "Tab"}),
            )
            .await
            .ok();
        let text = |key: &str| made[key].as_str().expect("a text").to_owned();
        let guest = User {
            id: text("user_id"),
            device: text("device_id"),
            http: server.http.with_token(&text("access_token")),
        };
        let who = guest.http.get(&format!("{CLIENT}/account/whoami")).await.ok();
        assert_eq!(who["is_guest"], true);
        let alice = User::register(&server.http, "alice").await;
        let room = alice.create_public_room().await;
        let refused = guest.act(&room, "join", &json!({})).await;
        refused.expect_error(403, "M_GUEST_ACCESS_FORBIDDEN");
        let access = format!("{CLIENT}/rooms/{}/state/m.room.guest_access", encode(&room));
        alice.http.put(&access, &json!({"guest_access": "can_join"})).await.ok();
        guest.join(&room).await;
        guest.say(&room, "hello").await;
        for (target, body) in [
            ("createRoom", json!({})),
            ("logout", json!({})),
            ("account/password", json!({})),
        ] {
            let refused = guest.http.post(&format!("{CLIENT}/{target}"), &body).await;
            refused.expect_error(403, "M_GUEST_ACCESS_FORBIDDEN");
        }
        let profile = format!("{CLIENT}/profile/{}", encode(&guest.id));
        let name = json!({"displayname": "Visitor"});
        guest.http.put(&format!("{profile}/displayname"), &name).await.ok();
        let avatar = json!({"avatar_url": "mxc://x/y"});
        let refused = guest.http.put(&format!("{profile}/avatar_url"), &avatar).await;
        refused.expect_error(403, "M_GUEST_ACCESS_FORBIDDEN");

        let localpart = guest.id[1..].split(':').next().expect("a localpart").to_owned();
        let upgrade = |name: &str, token: &str| {
            json!({
                "username": name, "password": PASSWORD, "guest_access_token": token,
                "auth": {"type": "m.login.dummy"},
            })
        };
        let other = upgrade("somebodyelse", &text("access_token"));
        server.register(&other).await.expect_error(403, "M_FORBIDDEN");
        let answer = server.register(&upgrade(&localpart, &text("access_token"))).await.ok();
        assert_eq!(answer["user_id"], guest.id);
        let user = guest.http.with_token(answer["access_token"].as_str().expect("a token"));
        user.post(&format!("{CLIENT}/createRoom"), &json!({})).await.ok();
        let who = user.get(&format!("{CLIENT}/account/whoami")).await.ok();
        assert_ne!(who["is_guest"], true);
        assert!(server.solo.process().exited().is_none());
    });
}

#[test]
fn a_token_and_consent_open_the_door() {
    run(async {
        let files = [("tokens", "first.Token second-token\n")];
        let settings = [
            "registration.open=false",
            "registration.tokens_file=tokens",
            "registration.terms_url=https://terms.example.org/",
        ];
        let server = start(&files, &settings).await;
        let asked = async |token: &str| {
            let target = "/_matrix/client/v1/register/m.login.registration_token/validity";
            server.http.get(&format!("{target}?token={token}")).await.ok()["valid"].clone()
        };
        assert_eq!(
            (asked("second-token").await, asked("third").await),
            (json!(true), json!(false))
        );
        let mut body = json!({"username": fresh_name("alice"), "password": PASSWORD});
        let challenge = server.register(&body).await;
        let told = challenge.json();
        assert_eq!(
            (challenge.status, &told["flows"]),
            (
                401,
                &json!([{"stages": ["m.login.registration_token", "m.login.terms"]}])
            )
        );
        let url = &told["params"]["m.login.terms"]["policies"]["terms"]["en"]["url"];
        assert_eq!(url, "https://terms.example.org/");
        let session = told["session"].clone();
        let stage = |kind: &str, token: &str| json!({"type": kind, "token": token, "session": session});
        body["auth"] = stage("m.login.registration_token", "third");
        let refused = server.register(&body).await;
        assert_eq!(
            (refused.status, &refused.json()["errcode"]),
            (401, &json!("M_FORBIDDEN"))
        );
        body["auth"] = stage("m.login.dummy", "");
        assert_eq!(server.register(&body).await.status, 401);
        body["auth"] = stage("m.login.registration_token", "second-token");
        let half = server.register(&body).await;
        assert_eq!(
            (half.status, &half.json()["completed"]),
            (401, &json!(["m.login.registration_token"]))
        );
        body["auth"] = stage("m.login.terms", "");
        assert!(server.register(&body).await.ok()["access_token"].is_string());
    });
}

#[test]
fn one_client_logs_another_one_in() {
    run(async {
        let server = start(&[], &["accounts.login_tokens=true"]).await;
        let alice = User::register(&server.http, "alice").await;
        let flows = server.http.get(&format!("{CLIENT}/login")).await.ok();
        let token_flow = json!({"type": "m.login.token", "get_login_token": true});
        assert!(
            flows["flows"]
                .as_array()
                .is_some_and(|flows| flows.contains(&token_flow)),
            "{flows}"
        );
        let target = "/_matrix/client/v1/login/get_token";
        assert_eq!(alice.http.post(target, &json!({})).await.status, 401);
        let auth = json!({
            "type": "m.login.password", "password": PASSWORD,
            "identifier": {"type": "m.id.user", "user": alice.id},
        });
        let given = alice.http.post(target, &json!({"auth": auth})).await.ok();
        let log_in = json!({"type": "m.login.token", "token": given["login_token"]});
        let path = format!("{CLIENT}/login");
        let session = server.http.post(&path, &log_in).await.ok();
        assert_eq!(session["user_id"], alice.id);
        assert_ne!(session["device_id"], json!(alice.device));
        server.http.post(&path, &log_in).await.expect_error(403, "M_FORBIDDEN");
        let unknown = server.http.post(&path, &json!({"type": "m.login.bird"})).await;
        unknown.expect_error(400, "M_UNKNOWN");
    });
}

/// Row 5328 of the seed, and what is told about the server.
#[test]
fn calls_are_relayed_and_the_server_is_found() {
    run(async {
        let files = [
            ("turn", "a secret of two\n"),
            ("plexus.toml", "[turn]\nuris = [\"turn:relay.example.org\"]\n"),
        ];
        let settings = [
            "turn.secret_file=turn",
            "discovery.public_base_url=https://matrix.example.org",
            "discovery.support_email=help@example.org",
            "accounts.profiles_need_token=true",
        ];
        let server = start(&files, &settings).await;
        let alice = User::register(&server.http, "alice").await;
        for prefix in ["v3", "r0", "api/v1", "unstable"] {
            let target = format!("/_matrix/client/{prefix}/voip/turnServer");
            server.http.get(&target).await.expect_error(401, "M_MISSING_TOKEN");
            let relay = alice.http.get(&target).await.ok();
            assert_eq!(relay["uris"], json!(["turn:relay.example.org"]));
            assert_eq!(relay["ttl"], 86_400);
            let username = relay["username"].as_str().expect("a name");
            assert!(username.ends_with(&format!(":{}", alice.id)), "{username}");
            assert!(
                relay["password"].as_str().is_some_and(|password| password.len() == 28),
                "{relay}"
            );
        }
        let found = server.http.get("/.well-known/matrix/client").await.ok();
        assert_eq!(
            found,
            json!({"m.homeserver": {"base_url": "https://matrix.example.org"}})
        );
        let support = server.http.get("/.well-known/matrix/support").await.ok();
        assert_eq!(support["contacts"][0]["email_address"], "help@example.org");
        let profile = format!("{CLIENT}/profile/{}", encode(&alice.id));
        server.http.get(&profile).await.expect_error(401, "M_MISSING_TOKEN");
        alice.http.get(&profile).await.ok();
        let networks = alice.http.get(&format!("{CLIENT}/thirdparty/protocols")).await.ok();
        assert_eq!(networks, json!({}));
        for target in [
            "protocol/irc",
            "user/irc",
            "location/irc",
            "location?alias=%23a:b",
            "user?userid=%40a:b",
        ] {
            let answer = alice.http.get(&format!("{CLIENT}/thirdparty/{target}")).await;
            answer.expect_error(404, "M_NOT_FOUND");
        }
    });
}

/// HOSTILE 23: what a login that fails says, and how much work it is, does not depend on whether there is such a user.
#[test]
fn a_failed_login_tells_nothing_about_who_is_here() {
    run(async {
        let server = start(&[], &[]).await;
        let alice = User::register(&server.http, "alice").await;
        let user = |name: &str| json!({"type": "m.id.user", "user": name});
        let nobodies = [
            user(&alice.id),
            user("nobody"),
            user("@nobody:elsewhere"),
            user("no body at all"),
            json!({"type": "m.id.thirdparty", "medium": "email", "address": "a@example.org"}),
            json!({"type": "m.id.phone", "country": "GB", "phone": "1"}),
        ];
        let mut answers = Vec::new();
        for identifier in nobodies {
            let before = server.password_checks().await;
            let body = json!({"type": "m.login.password", "identifier": identifier, "password": "guessed"});
            let answer = server.http.post(&format!("{CLIENT}/login"), &body).await;
            answer.expect_error(403, "M_FORBIDDEN");
            let checks = eventually(PATIENCE, "the check to be counted", async || {
                match server.password_checks().await - before {
                    0 => Err("no password was checked".to_owned()),
                    checks => Ok(checks),
                }
            })
            .await;
            answers.push((answer.body, checks));
        }
        assert!(
            answers.iter().all(|answer| *answer == answers[0] && answer.1 == 1),
            "{answers:?}"
        );
    });
}

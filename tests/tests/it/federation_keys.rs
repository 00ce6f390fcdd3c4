//! Servers that find and trust each other: two real ones with a test authority on loopback, and doubles that sign properly and lie.

use std::{fs, path::Path};

use plexus_core::event::{SigningKey, sign::sign_json};
use plexus_federation::x_matrix::{Signed, XMatrix};
use plexus_testkit::{Authority, Remote};
use plexus_tests::{Answer, Http, PATIENCE, Solo, User, encode, eventually, free_port, run, run_plexus};
use ruma::ServerName;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What other servers ask for a profile.
const PROFILE: &str = "/_matrix/federation/v1/query/profile";
/// Where a server publishes its keys.
const PUBLISHED: &str = "/_matrix/key/v2/server";

/// A real server, with a listener for clients and one for servers.
struct Server {
    folder: TempDir,
    name: String,
    http: Http,
    solo: Solo,
}

impl Server {
    /// One whose certificate is by `issuer`, and that believes `trusted`.
    async fn start(host: &str, issuer: &Authority, trusted: &Authority, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (port, tls_port) = (free_port(), free_port());
        trusted.write(folder.path());
        issuer.issue(&[host]).write(folder.path());
        let name = format!("{host}:{tls_port}");
        let configuration = format!(
            "server_name = \"{name}\"\ndata_dir = \"data\"\n\
             [listen]\naddress = \"127.0.0.1:{port}\"\ntls_address = \"127.0.0.1:{tls_port}\"\n\
             tls_certificate_file = \"cert.pem\"\ntls_key_file = \"key.pem\"\n\
             [outbound]\nallowed_ranges = \"127.0.0.0/8\"\n\
             [federation]\ncustom_ca_list = [\"ca.pem\"]\ntrusted_key_servers = []\n{more}"
        );
        fs::write(folder.path().join("plexus.toml"), configuration).expect("the folder can be written to");
        let solo = Solo::start(folder.path(), &["serve", "--config", "plexus.toml"]);
        let http = Http::new(&format!("http://127.0.0.1:{port}"));
        solo.until_answers(&http).await;
        Self {
            folder,
            name,
            http,
            solo,
        }
    }

    async fn trusting(authority: &Authority) -> Self {
        Self::start("localhost", authority, authority, "").await
    }

    async fn restart(&self) {
        self.solo.process().start_again();
        self.solo.until_answers(&self.http).await;
    }

    async fn stop(&self) {
        let status = self.solo.process().stop().await;
        assert!(status.success(), "{}", self.solo.process().output());
    }

    /// What `plexus federation check` finds with this server's configuration: whether all is well, and its words.
    fn check(&self, server: &str) -> (bool, String) {
        let output = run_plexus(
            self.folder.path(),
            &["federation", "check", "--config", "plexus.toml", server],
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    }

    /// The documents of a server that this one passes on.
    async fn documents_of(&self, server: &str) -> Vec<Value> {
        let answer = self.http.get(&format!("/_matrix/key/v2/query/{server}")).await.ok();
        answer["server_keys"].as_array().expect("a list").clone()
    }

    /// Asks for a profile as another server does, with these headers.
    async fn asked(&self, user: &str, authorization: Option<&str>) -> Answer {
        let target = profile_target(user);
        match authorization {
            Some(authorization) => self.http.with_header("authorization", authorization).get(&target).await,
            None => self.http.get(&target).await,
        }
    }
}

fn profile_target(user: &str) -> String {
    format!("{PROFILE}?user_id={}", encode(user))
}

fn server_name(name: &str) -> &ServerName {
    <&ServerName>::try_from(name).expect("a server name")
}

/// A double with a key, which it publishes.
async fn double(authority: &Authority, key: &SigningKey) -> Remote {
    let remote = Remote::start(authority, &["127.0.0.1"]).await;
    remote.answers_at(PUBLISHED, document(&remote.name(), key, 4_000_000_000_000));
    remote
}

fn document(server: &str, key: &SigningKey, valid_until_ms: i64) -> String {
    let document = json!({
        "server_name": server, "valid_until_ts": valid_until_ms, "old_verify_keys": {},
        "verify_keys": {key.key_id(): {"key": key.verify_key().to_base64()}},
    });
    sign_json(document.to_string().as_bytes(), server_name(server), key).expect("JSON")
}

fn key(version: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(version, &[seed; 32]).expect("a key")
}

/// The header of a question for a profile, from `origin` to `destination`.
fn authorization(origin: &str, destination: &str, user: &str, key: &SigningKey) -> XMatrix {
    let request = Signed {
        method: "GET",
        target: &profile_target(user),
        content: None,
    };
    request
        .sign(server_name(origin), server_name(destination), key)
        .expect("JSON")
}

async fn named(server: &Server, what: &str) -> User {
    let user = User::register(&server.http, what).await;
    let target = format!("/_matrix/client/v3/profile/{}/displayname", encode(&user.id));
    user.http
        .put(&target, &json!({"displayname": format!("The {what}")}))
        .await
        .ok();
    user
}

#[test]
fn two_servers_find_trust_and_believe_each_other() {
    run(async {
        let authority = Authority::new();
        let here = Server::trusting(&authority).await;
        // By an address, whose certificate is for the address.
        let there = Server::start("127.0.0.1", &authority, &authority, "").await;
        let (alice, bob) = (named(&here, "alice").await, named(&there, "bob").await);
        for (asker, user, shown) in [(&alice, &bob, "The bob"), (&bob, &alice, "The alice")] {
            let profile = asker
                .http
                .get(&format!("/_matrix/client/v3/profile/{}", encode(&user.id)))
                .await
                .ok();
            assert_eq!(profile["displayname"], shown);
        }
        let nobody = format!(
            "/_matrix/client/v3/profile/{}",
            encode(&format!("@nobody:{}", there.name))
        );
        alice.http.get(&nobody).await.expect_error(404, "M_NOT_FOUND");

        // Each passes on what the other publishes, signed by both.
        let documents = here.documents_of(&there.name).await;
        assert_eq!(documents.len(), 1);
        let signatures = documents[0]["signatures"].as_object().expect("signatures");
        assert!(
            signatures.contains_key(&here.name) && signatures.contains_key(&there.name),
            "{signatures:?}"
        );
        let query = json!({"server_keys": {there.name.clone(): {}, here.name.clone(): {}, "no such name": {}}});
        let answer = here.http.post("/_matrix/key/v2/query", &query).await.ok();
        assert_eq!(answer["server_keys"].as_array().map(Vec::len), Some(2), "{answer}");

        let version = there.http.get("/_matrix/federation/v1/version").await.ok();
        assert_eq!(version["server"]["name"], "Plexus");
        there
            .http
            .get("/.well-known/matrix/server")
            .await
            .expect_error(404, "M_NOT_FOUND");
    });
}

#[test]
fn p5_p6_a_server_without_a_trusted_certificate_is_not_talked_to() {
    run(async {
        let (authority, other) = (Authority::new(), Authority::new());
        let here = Server::trusting(&authority).await;
        let there = Server::start("localhost", &other, &authority, "").await;
        let (alice, bob) = (named(&here, "alice").await, named(&there, "bob").await);
        let target = format!("/_matrix/client/v3/profile/{}", encode(&bob.id));
        assert_eq!(alice.http.get(&target).await.status, 503);
        assert_eq!(here.documents_of(&there.name).await, Vec::<Value>::new());
        // Unless the configuration says that it need not have one.
        let lenient = Server::start(
            "localhost",
            &authority,
            &authority,
            "unverified_servers = [\"local*\"]\n",
        )
        .await;
        let carol = named(&lenient, "carol").await;
        assert_eq!(carol.http.get(&target).await.ok()["displayname"], "The bob");
    });
}

#[test]
fn a_certificate_is_changed_while_the_server_runs() {
    run(async {
        let (authority, other) = (Authority::new(), Authority::new());
        let server = Server::trusting(&authority).await;
        let (fine, text) = server.check(&server.name);
        assert!(fine, "{text}");
        for words in ["has a certificate for localhost", "\"Plexus\"", "signs with ed25519:"] {
            assert!(text.contains(words), "{text}");
        }
        let changed = async |issuer: &Authority, fine: bool| {
            issuer.issue(&["localhost"]).write(server.folder.path());
            server.solo.process().hang_up();
            eventually(PATIENCE, "the other certificate", async || {
                let (is_fine, text) = server.check(&server.name);
                if is_fine == fine { Ok(()) } else { Err(text) }
            })
            .await;
        };
        changed(&other, false).await;
        let (_, text) = server.check(&server.name);
        assert!(
            text.contains("WRONG") && text.contains("invalid peer certificate"),
            "{text}"
        );
        changed(&authority, true).await;
        // A broken file changes nothing.
        fs::write(server.folder.path().join("cert.pem"), "").expect("written");
        server.solo.process().hang_up();
        eventually(PATIENCE, "the complaint", async || {
            let log = server.solo.process().output();
            log.contains("the certificate stays what it is")
                .then_some(())
                .ok_or(log)
        })
        .await;
        assert!(server.check(&server.name).0);
    });
}

#[test]
fn the_check_says_what_is_wrong() {
    run(async {
        let authority = Authority::new();
        let server = Server::trusting(&authority).await;
        let wrong = |name: &str, words: &[&str]| {
            let (fine, text) = server.check(name);
            assert!(!fine && !text.contains("panicked"), "{text}");
            for words in words {
                assert!(text.contains(words), "no {words:?} in: {text}");
            }
        };
        wrong(
            &format!("localhost:{}", free_port()),
            &["Connection refused", "one thing is wrong"],
        );
        wrong("10.1.2.3", &["no address that may be connected to"]);
        wrong("not a name", &["a server name is"]);
        // No homeserver.
        let remote = Remote::start(&authority, &["127.0.0.1"]).await;
        wrong(&remote.name(), &["404", "no homeserver"]);
        // Keys that nobody believes.
        let key = key("1", 3);
        remote.answers_at(PUBLISHED, document(&remote.name(), &key, 1));
        wrong(&remote.name(), &["its keys have expired"]);
        remote.answers_at(PUBLISHED, document("other.example", &key, 4_000_000_000_000));
        wrong(&remote.name(), &["it is the document of other.example"]);
        // Another server under the own name.
        let moved = format!("server_name={}", remote.name());
        remote.answers_at(PUBLISHED, document(&remote.name(), &key, 4_000_000_000_000));
        let output = run_plexus(
            server.folder.path(),
            &["federation", "check", "--config", "plexus.toml", "--set", &moved],
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("another server answers"), "{text}");
    });
}

#[test]
fn a_key_is_changed_and_the_old_one_stays_known() {
    run(async {
        let authority = Authority::new();
        let (here, there) = (Server::trusting(&authority).await, Server::trusting(&authority).await);
        let (alice, bob) = (named(&here, "alice").await, named(&there, "bob").await);
        let ask = async |asker: &User, user: &User| {
            let target = format!("/_matrix/client/v3/profile/{}", encode(&user.id));
            asker.http.get(&target).await.ok()
        };
        ask(&bob, &alice).await;
        let first = there.http.get(PUBLISHED).await.ok();
        let old = only_key(&first["verify_keys"]);
        there.stop().await;
        let rotated = run_plexus(there.folder.path(), &["rotate-signing-key", "--config", "plexus.toml"]);
        assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
        there.restart().await;
        let second = there.http.get(PUBLISHED).await.ok();
        let new = only_key(&second["verify_keys"]);
        assert_ne!(old, new);
        assert_eq!(
            second["old_verify_keys"][&old]["key"],
            first["verify_keys"][&old]["key"]
        );
        assert!(
            second["old_verify_keys"][&old]["expired_ts"]
                .as_i64()
                .is_some_and(|at| at > 1_700_000_000_000)
        );
        // The other server has never heard of the new key, and believes it at once.
        eventually(PATIENCE, "the new key to be fetched", async || {
            let target = format!("/_matrix/client/v3/profile/{}", encode(&alice.id));
            let answer = bob.http.get(&target).await;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(answer.text())
            }
        })
        .await;
        ask(&alice, &bob).await;
        let documents = here
            .http
            .get(&format!("/_matrix/key/v2/query/{}/{old}", there.name))
            .await
            .ok();
        assert_eq!(
            documents["server_keys"].as_array().map(Vec::len),
            Some(1),
            "{documents}"
        );
        // The file of the old key alone does not start the server any more.
        there.stop().await;
        let data = there.folder.path().join("data");
        let version = old.split_once(':').expect("an id").1;
        fs::copy(data.join(format!("signing.key.{version}")), data.join("signing.key")).expect("it was kept");
        let refused = run_plexus(there.folder.path(), &["serve", "--config", "plexus.toml"]);
        assert!(!refused.status.success());
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains("signed with"),
            "{refused:?}"
        );
    });
}

fn only_key(keys: &Value) -> String {
    let keys = keys.as_object().expect("keys");
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys.keys().next().expect("one").clone()
}

#[test]
fn hostile_8_requests_are_believed_by_their_signature_only() {
    run(async {
        let authority = Authority::new();
        let server = Server::trusting(&authority).await;
        let alice = named(&server, "alice").await;
        let (good, other) = (key("1", 3), key("1", 4));
        let (remote, another) = (double(&authority, &good).await, double(&authority, &other).await);
        let header = authorization(&remote.name(), &server.name, &alice.id, &good);
        let answer = server.asked(&alice.id, Some(&header.to_header())).await.ok();
        assert_eq!(answer["displayname"], "The alice");
        // Older servers do not say whom they ask: then that is not signed either, so theirs is another signature.
        let elsewhere = authorization(&remote.name(), "other.example", &alice.id, &good);
        let renamed = XMatrix {
            destination: Some(server_name(&server.name).to_owned()),
            ..elsewhere.clone()
        };
        let unnamed = XMatrix {
            destination: None,
            ..header.clone()
        };
        let as_another = XMatrix {
            origin: server_name(&another.name()).to_owned(),
            ..header.clone()
        };
        let unknown_key = XMatrix {
            key_id: "ed25519:2".to_owned(),
            ..header.clone()
        };
        let ourselves = XMatrix {
            origin: server_name(&server.name).to_owned(),
            ..header.clone()
        };
        let wrong = [
            elsewhere,
            renamed,
            unnamed,
            as_another,
            unknown_key,
            ourselves,
            authorization(&remote.name(), &server.name, &alice.id, &other),
            authorization(&remote.name(), &server.name, "@else:where", &good),
        ];
        for header in wrong {
            let refused = server.asked(&alice.id, Some(&header.to_header())).await;
            refused.expect_error(401, "M_UNAUTHORIZED");
        }
        for header in [None, Some("Bearer x"), Some("X-Matrix"), Some("X-Matrix origin=a")] {
            server
                .asked(&alice.id, header)
                .await
                .expect_error(401, "M_UNAUTHORIZED");
        }
        let no_name = "X-Matrix origin=\"localhost:http\",key=\"ed25519:1\",sig=\"AAAA\"";
        let refused = server.asked(&alice.id, Some(no_name)).await;
        refused.expect_error(400, "M_INVALID_PARAM");
        let with_body = server.http.with_header("authorization", &header.to_header());
        let body = with_body
            .try_send(http::Method::GET, &profile_target(&alice.id), "{}")
            .await;
        body.expect("answered").expect_error(401, "M_UNAUTHORIZED");
        server.asked(&alice.id, Some(&header.to_header())).await.ok();
    });
}

#[test]
fn hostile_26_keys_are_bound_to_their_server_and_outlive_it() {
    run(async {
        let authority = Authority::new();
        let server = Server::trusting(&authority).await;
        let alice = named(&server, "alice").await;
        let (good, evil) = (key("1", 3), key("1", 4));
        let remote = double(&authority, &good).await;
        let name = remote.name();
        let header = authorization(&name, &server.name, &alice.id, &good).to_header();
        server.asked(&alice.id, Some(&header)).await.ok();
        // The id means another key all of a sudden: the one that is still vouched for stays.
        remote.answers_at(PUBLISHED, document(&name, &evil, 4_000_000_000_000));
        let forged = authorization(&name, &server.name, &alice.id, &evil).to_header();
        server
            .asked(&alice.id, Some(&forged))
            .await
            .expect_error(401, "M_UNAUTHORIZED");
        server.asked(&alice.id, Some(&header)).await.ok();
        // A liar that publishes the keys of another server in its own name, and in the other's.
        let liar = double(&authority, &evil).await;
        liar.answers_at(PUBLISHED, document(&name, &evil, 4_000_000_000_000));
        assert_eq!(server.documents_of(&liar.name()).await, Vec::<Value>::new());
        // It goes away, the server starts again, and still knows.
        drop(remote);
        server.stop().await;
        server.restart().await;
        server.asked(&alice.id, Some(&header)).await.ok();
        let documents = server.documents_of(&name).await;
        assert_eq!(documents.len(), 1);
        assert_eq!(
            documents[0]["verify_keys"]["ed25519:1"]["key"],
            good.verify_key().to_base64()
        );
    });
}

#[test]
fn seed_5300_a_key_that_cannot_be_had_is_one_short_line() {
    run(async {
        let authority = Authority::new();
        let server = Server::trusting(&authority).await;
        let alice = named(&server, "alice").await;
        let away = format!("127.0.0.1:{}", free_port());
        let header = authorization(&away, &server.name, &alice.id, &key("1", 3)).to_header();
        server
            .asked(&alice.id, Some(&header))
            .await
            .expect_error(401, "M_UNAUTHORIZED");
        let log = server.solo.process().output();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&away)).collect();
        assert_eq!(lines.len(), 1, "{log}");
        assert!(lines[0].contains("no valid key") && lines[0].len() < 300, "{lines:?}");
    });
}

#[test]
fn seed_5361_a_signing_key_is_made_and_can_be_read() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path: &Path = folder.path();
    let made = run_plexus(path, &["generate-signing-key", "--set", "signing_key_file=my.key"]);
    assert!(made.status.success(), "{made:?}");
    let line = fs::read_to_string(path.join("my.key")).expect("made");
    let key = SigningKey::parse(line.trim()).expect("a key");
    assert!(line.starts_with("ed25519 a_"), "its form is that of other servers");
    assert!(String::from_utf8_lossy(&made.stdout).contains(key.key_id()));
}

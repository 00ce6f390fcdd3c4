//! Another server whose every word a test decides: it signs properly, and says what it is told to say.

use http::Method;
use plexus_core::event::{SigningKey, sign::sign_json};
use plexus_federation::x_matrix::Signed;
use plexus_testkit::{
    Received, Remote,
    dag::{Dag, Index, KEY_SEED},
};
use ruma::ServerName;
use serde_json::{Value, json};

use crate::{Answer, Http, authority};

/// Where a server publishes its keys.
const PUBLISHED: &str = "/_matrix/key/v2/server";
/// The year 2096: for as long as the tests are run.
const VALID_UNTIL_MS: i64 = 4_000_000_000_000;

/// The server. Its events are those of a [`Dag`] made by one of its users: they have the same key.
#[derive(Debug)]
pub struct Peer {
    /// What it was asked.
    pub remote: Remote,
    key: SigningKey,
}

impl Peer {
    /// Starts one, which publishes its key and answers 404 to everything else.
    pub async fn start() -> Self {
        let remote = Remote::start(authority(), &["127.0.0.1"]).await;
        let key = SigningKey::from_seed("1", &KEY_SEED).expect("the key id is valid");
        let peer = Self { remote, key };
        peer.answers(|_| None);
        peer
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.remote.name()
    }

    /// One of its users.
    pub fn user(&self, localpart: &str) -> String {
        format!("@{localpart}:{}", self.name())
    }

    /// From now on it answers so, and 404 where the script has nothing.
    pub fn answers(&self, script: impl Fn(&Received) -> Option<(u16, Value)> + Send + Sync + 'static) {
        let keys = self.document();
        self.remote.answers(move |request| {
            if request.target == PUBLISHED {
                return Some((200, keys.clone()));
            }
            let (status, body) = script(request).unwrap_or((404, json!({"errcode": "M_NOT_FOUND"})));
            Some((status, body.to_string()))
        });
    }

    /// From now on it publishes its key, and does not answer anything else.
    pub fn falls_silent(&self) {
        let keys = self.document();
        self.remote
            .answers(move |request| (request.target == PUBLISHED).then(|| (200, keys.clone())));
    }

    fn document(&self) -> String {
        let document = json!({
            "server_name": self.name(), "valid_until_ts": VALID_UNTIL_MS, "old_verify_keys": {},
            "verify_keys": {self.key.key_id(): {"key": self.key.verify_key().to_base64()}},
        });
        let (name, text) = (self.name(), document.to_string());
        sign_json(text.as_bytes(), server_name(&name), &self.key).expect("JSON")
    }

    /// Sends a request to a server, signed.
    pub async fn ask(&self, http: &Http, server: &str, method: Method, target: &str, body: Option<&str>) -> Answer {
        let signed = Signed {
            method: method.as_str(),
            target,
            content: body.map(str::as_bytes),
        };
        let name = self.name();
        let header = signed.sign(server_name(&name), server_name(server), &self.key);
        // What is no JSON cannot be signed: then the body is not.
        let header = header.or_else(|_| {
            let unsigned = Signed {
                content: None,
                ..signed
            };
            unsigned.sign(server_name(&name), server_name(server), &self.key)
        });
        let header = header.expect("without a body everything can be signed");
        // What it asks about was done by others, anywhere.
        http.settled().await;
        http.with_header("authorization", &header.to_header())
            .send(method, target, body.unwrap_or_default().to_owned())
            .await
    }

    /// Sends a transaction.
    pub async fn transaction(&self, http: &Http, server: &str, id: &str, pdus: &[&str], edus: &[Value]) -> Answer {
        let edus = Value::from(edus);
        let body = format!(
            "{{\"origin\":\"{}\",\"origin_server_ts\":1,\"pdus\":[{}],\"edus\":{edus}}}",
            self.name(),
            pdus.join(",")
        );
        let target = format!("/_matrix/federation/v1/send/{id}");
        self.ask(http, server, Method::PUT, &target, Some(&body)).await
    }
}

/// Events as they go between servers.
pub fn pdus(dag: &Dag, events: &[Index]) -> Vec<Value> {
    let json = |at: &Index| serde_json::from_str(dag.events[*at].body.json()).expect("an event is JSON");
    events.iter().map(json).collect()
}

fn server_name(name: &str) -> &ServerName {
    <&ServerName>::try_from(name).expect("a server name")
}

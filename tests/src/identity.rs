//! An identity server whose every word a test decides: it signs properly, and knows the addresses that it is told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use plexus_core::event::{
    SigningKey,
    hash::{encode_url_safe_base64, sha256},
    sign::sign_json,
};
use plexus_testkit::{Received, Remote};
use ruma::ServerName;
use serde_json::{Value, json};

use crate::{Answer, Http, authority, fresh_name};

/// What clients show it.
const TOKEN: &str = "identity-token";
/// The seeds of its own key, of that of each invite, and of one that it does not have.
const SEEDS: [[u8; 32]; 3] = [[11; 32], [12; 32], [13; 32]];

/// The server.
#[derive(Debug)]
pub struct Identity {
    /// What it was asked.
    pub remote: Remote,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    algorithm: String,
    peppers: usize,
    bound: BTreeMap<String, String>,
    stored: Vec<Value>,
    is_key_invalid: bool,
    refusal: Option<(u16, Value)>,
}

impl Identity {
    /// Starts one that knows nobody.
    pub async fn start() -> Self {
        let remote = Remote::start(authority(), &["127.0.0.1"]).await;
        let state = Arc::new(Mutex::new(State {
            algorithm: "sha256".to_owned(),
            ..State::default()
        }));
        let (answering, name) = (Arc::clone(&state), remote.name());
        remote.answers(move |request| {
            let (status, body) = lock(&answering).answer(&name, request);
            Some((status, body.to_string()))
        });
        Self { remote, state }
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.remote.name()
    }

    /// What a client says that invites an address.
    pub fn invite(&self, address: &str) -> Value {
        json!({"id_server": self.name(), "id_access_token": TOKEN, "medium": "email", "address": address})
    }

    /// From now on addresses are looked up in this way: `sha256` or `none`.
    pub fn looks_up_by(&self, algorithm: &str) {
        algorithm.clone_into(&mut lock(&self.state).algorithm);
    }

    /// From now on its keys are no good any more.
    pub fn revokes_its_keys(&self) {
        lock(&self.state).is_key_invalid = true;
    }

    /// From now on everything is answered so.
    pub fn refuses(&self, status: u16, body: Value) {
        lock(&self.state).refusal = Some((status, body));
    }

    /// An address is a user's, and nobody is told.
    pub fn knows(&self, address: &str, user_id: &str) {
        lock(&self.state).bound.insert(address.to_owned(), user_id.to_owned());
    }

    /// The invites that it has been given for an address, with their tokens.
    pub fn stored(&self, address: &str) -> Vec<Value> {
        let state = lock(&self.state);
        state
            .stored
            .iter()
            .filter(|invite| invite["address"] == address)
            .cloned()
            .collect()
    }

    /// The proof that an address with an invite is a user's.
    pub fn sign(&self, user_id: &str, token: &Value) -> Value {
        self.sign_by(0, user_id, token)
    }

    /// The same, by somebody who says that he is this server.
    pub fn forge(&self, user_id: &str, token: &Value) -> Value {
        self.sign_by(2, user_id, token)
    }

    /// Some proof.
    pub fn sign_block(&self, block: &Value) -> Value {
        self.sign_block_by(0, block)
    }

    fn sign_by(&self, key: usize, user_id: &str, token: &Value) -> Value {
        self.sign_block_by(key, &json!({"mxid": user_id, "token": token}))
    }

    fn sign_block_by(&self, key: usize, block: &Value) -> Value {
        let (block, name) = (block.to_string(), self.name());
        let server = <&ServerName>::try_from(&*name).expect("a server name");
        let signed = sign_json(block.as_bytes(), server, &signing_key(key)).expect("JSON");
        serde_json::from_str(&signed).expect("JSON")
    }

    /// An address turns out to be a user's, whose server is told.
    pub async fn bind(&self, http: &Http, address: &str, user_id: &str) -> Answer {
        self.knows(address, user_id);
        let signed = |invite: &Value| self.sign(user_id, &invite["token"]);
        let invites = self.stored(address);
        let invites: Vec<Value> = invites
            .iter()
            .map(|invite| pending(invite, user_id, &signed(invite)))
            .collect();
        tell(http, user_id, &invites).await
    }
}

/// An invite as the server of a user is told of it.
pub fn pending(invite: &Value, user_id: &str, signed: &Value) -> Value {
    json!({
        "medium": "email", "address": invite["address"], "mxid": user_id,
        "room_id": invite["room_id"], "sender": invite["sender"], "signed": signed,
    })
}

/// Tells a server that an address is a user's now, and of its invites.
pub async fn tell(http: &Http, user_id: &str, invites: &[Value]) -> Answer {
    http.settled().await;
    let body = json!({"medium": "email", "address": "somebody@example.org", "mxid": user_id, "invites": invites});
    http.put("/_matrix/federation/v1/3pid/onbind", &body).await
}

impl State {
    fn answer(&mut self, name: &str, request: &Received) -> (u16, Value) {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let path = path.strip_prefix("/_matrix/identity/v2/").unwrap_or_default();
        if let Some(refusal) = &self.refusal {
            return refusal.clone();
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let token = request
            .headers
            .get("authorization")
            .and_then(|token| token.to_str().ok());
        if !path.starts_with("pubkey/") && token != Some(&format!("Bearer {TOKEN}")) {
            return (401, json!({"errcode": "M_UNAUTHORIZED", "error": "who is there?"}));
        }
        match path {
            "hash_details" => {
                self.peppers += 1;
                (
                    200,
                    json!({"lookup_pepper": self.pepper(), "algorithms": [self.algorithm]}),
                )
            }
            "lookup" => self.look_up(&body),
            "store-invite" => self.store(name, body),
            "pubkey/isvalid" | "pubkey/ephemeral/isvalid" => {
                let known = [0, 1].map(public_key);
                let asked = query.strip_prefix("public_key=").unwrap_or_default();
                let is_known = known.iter().any(|key| crate::encode(key) == asked);
                (200, json!({"valid": is_known && !self.is_key_invalid}))
            }
            _ => (404, json!({"errcode": "M_UNRECOGNIZED", "error": "no such thing"})),
        }
    }

    fn pepper(&self) -> String {
        format!("pepper-{}", self.peppers)
    }

    fn look_up(&self, body: &Value) -> (u16, Value) {
        if body["pepper"] != self.pepper() || body["algorithm"] != self.algorithm.as_str() {
            return (400, json!({"errcode": "M_INVALID_PEPPER", "error": "rotated"}));
        }
        let written = |address: &str| match &*self.algorithm {
            "none" => format!("{address} email"),
            _ => encode_url_safe_base64(&sha256(format!("{address} email {}", self.pepper()).as_bytes())),
        };
        let asked = body["addresses"].as_array().expect("addresses");
        let mappings: serde_json::Map<String, Value> = self
            .bound
            .iter()
            .map(|(address, user_id)| (written(address), user_id.as_str().into()))
            .filter(|(written, _)| asked.iter().any(|asked| asked == written))
            .collect();
        (200, json!({ "mappings": mappings }))
    }

    fn store(&mut self, name: &str, mut invite: Value) -> (u16, Value) {
        let token = fresh_name("invite");
        invite["token"] = token.as_str().into();
        self.stored.push(invite);
        let key = |at, path| json!({"public_key": public_key(at), "key_validity_url": format!("https://{name}/_matrix/identity/v2/{path}")});
        let keys = [key(0, "pubkey/isvalid"), key(1, "pubkey/ephemeral/isvalid")];
        (
            200,
            json!({"token": token, "public_keys": keys, "display_name": "s...@e..."}),
        )
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signing_key(at: usize) -> SigningKey {
    SigningKey::from_seed("0", &SEEDS[at]).expect("the key id is valid")
}

fn public_key(at: usize) -> String {
    signing_key(at).verify_key().to_base64()
}

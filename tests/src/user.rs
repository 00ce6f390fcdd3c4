//! A user, as a client sees him.

use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::{
    PATIENCE, eventually,
    http::{Answer, Http, NoAnswer},
};

/// The password of everybody.
pub const PASSWORD: &str = "correct horse battery staple";

/// One device of a user.
#[derive(Clone, Debug)]
pub struct User {
    /// His Matrix id.
    pub id: String,
    /// His device.
    pub device: String,
    /// Requests as him.
    pub http: Http,
}

/// A name that no other test uses.
pub fn fresh_name(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// One segment of a path.
pub fn encode(segment: &str) -> String {
    utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string()
}

impl User {
    /// Makes an account with a name that begins with `what`.
    pub async fn register(http: &Http, what: &str) -> Self {
        let body = json!({
            "username": fresh_name(what),
            "password": PASSWORD,
            "auth": {"type": "m.login.dummy"},
        });
        let answer = http.post("/_matrix/client/v3/register", &body).await.ok();
        Self::from_answer(http, &answer)
    }

    /// Another device of the same user.
    pub async fn log_in_again(&self) -> Self {
        let body = json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": self.id},
            "password": PASSWORD,
        });
        let answer = self.http.post("/_matrix/client/v3/login", &body).await.ok();
        Self::from_answer(&self.http, &answer)
    }

    fn from_answer(http: &Http, answer: &Value) -> Self {
        let text = |key: &str| {
            answer[key]
                .as_str()
                .unwrap_or_else(|| panic!("no {key} in {answer}"))
                .to_owned()
        };
        Self {
            id: text("user_id"),
            device: text("device_id"),
            http: http.with_token(&text("access_token")),
        }
    }

    /// What his requests say in `Authorization`.
    pub fn token(&self) -> String {
        let token = self.http.header("authorization");
        token.expect("a user is logged in").to_owned()
    }

    /// The same device behind another address.
    #[must_use]
    pub fn at(&self, http: &Http) -> Self {
        Self {
            http: self.http.at(http.url()),
            ..self.clone()
        }
    }

    /// Creates a room; its id comes back.
    pub async fn create_room(&self, body: &Value) -> String {
        let answer = self.http.post("/_matrix/client/v3/createRoom", body).await.ok();
        answer["room_id"]
            .as_str()
            .expect("createRoom gives a room id")
            .to_owned()
    }

    /// Creates a room that anybody may join.
    pub async fn create_public_room(&self) -> String {
        self.create_room(&json!({"preset": "public_chat"})).await
    }

    /// Does something to a room that takes a body: `invite`, `join`, `leave`, `kick`, `ban`, `unban`, `receipt/...`.
    pub async fn act(&self, room: &str, action: &str, body: &Value) -> Answer {
        let target = format!("/_matrix/client/v3/rooms/{}/{action}", encode(room));
        self.http.post(&target, body).await
    }

    /// Asks another user in.
    pub async fn invite(&self, room: &str, other: &Self) {
        self.act(room, "invite", &json!({"user_id": other.id})).await.ok();
    }

    /// Joins.
    pub async fn join(&self, room: &str) {
        self.act(room, "join", &json!({})).await.ok();
    }

    /// Sends a text; its event id comes back.
    pub async fn say(&self, room: &str, text: &str) -> String {
        self.put_message(room, &fresh_name("txn"), text)
            .await
            .map_err(|NoAnswer(why)| why)
            .expect("the server is there")
            .ok()["event_id"]
            .as_str()
            .expect("a send gives an event id")
            .to_owned()
    }

    /// Sends a text as a client does over a bad line: the same transaction again and again until it is answered.
    pub async fn say_stubbornly(&self, room: &str, text: &str) -> String {
        let txn = fresh_name("txn");
        let what = format!("{text:?} to be accepted");
        let answer = eventually(2 * PATIENCE, &what, async || {
            match self.put_message(room, &txn, text).await {
                Ok(answer) if answer.is_retryable() => Err(answer.text()),
                Ok(answer) => Ok(answer.ok()),
                Err(NoAnswer(why)) => Err(why),
            }
        })
        .await;
        answer["event_id"]
            .as_str()
            .expect("a send gives an event id")
            .to_owned()
    }

    /// One attempt to send a text.
    pub async fn put_message(&self, room: &str, txn: &str, text: &str) -> Result<Answer, NoAnswer> {
        let target = format!(
            "/_matrix/client/v3/rooms/{}/send/m.room.message/{}",
            encode(room),
            encode(txn)
        );
        let content = json!({"msgtype": "m.text", "body": text});
        self.http.try_send(Method::PUT, &target, content.to_string()).await
    }

    /// Syncs once; `query` begins with `&` or is empty.
    pub async fn sync(&self, since: Option<&str>, timeout_ms: u64, query: &str) -> Answer {
        self.http.get(&sync_target(since, timeout_ms, query)).await
    }

    /// One attempt to sync.
    pub async fn try_sync(&self, since: Option<&str>, timeout_ms: u64, query: &str) -> Result<Answer, NoAnswer> {
        let target = sync_target(since, timeout_ms, query);
        self.http.try_send(Method::GET, &target, "").await
    }

    /// A page of a room's history; `query` begins with `&` or is empty.
    pub async fn messages(&self, room: &str, direction: &str, query: &str) -> Answer {
        let target = format!(
            "/_matrix/client/v3/rooms/{}/messages?dir={direction}{query}",
            encode(room)
        );
        self.http.get(&target).await
    }
}

fn sync_target(since: Option<&str>, timeout_ms: u64, query: &str) -> String {
    let since = since
        .map(|since| format!("&since={}", encode(since)))
        .unwrap_or_default();
    format!("/_matrix/client/v3/sync?timeout={timeout_ms}{since}{query}")
}

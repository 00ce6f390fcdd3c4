//! A user with a room, and the requests that are made of it again and again.

use plexus_tests::{Answer, Cluster, User, encode, fresh_name};
use serde_json::{Value, json};

/// A user with a room of his own.
pub(crate) struct Home {
    pub(crate) user: User,
    pub(crate) room: String,
}

impl Home {
    pub(crate) async fn new(cluster: &Cluster) -> Self {
        let user = User::register(&cluster.http(), "alice").await;
        let room = user.create_public_room().await;
        Self { user, room }
    }

    pub(crate) fn rooms(&self) -> String {
        format!("/_matrix/client/v3/rooms/{}", encode(&self.room))
    }

    pub(crate) fn rooms_v1(&self) -> String {
        format!("/_matrix/client/v1/rooms/{}", encode(&self.room))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.user.http.get(&format!("{}/{path}", self.rooms())).await
    }

    pub(crate) async fn event(&self, event: &str) -> Value {
        self.get(&format!("event/{}", encode(event))).await.ok()
    }

    /// Somebody sends an event; its id comes back.
    pub(crate) async fn send(&self, by: &User, kind: &str, content: &Value) -> String {
        let answer = self.try_send(by, kind, content).await.ok();
        answer["event_id"].as_str().expect("an event").to_owned()
    }

    pub(crate) async fn try_send(&self, by: &User, kind: &str, content: &Value) -> Answer {
        let target = format!("{}/send/{kind}/{}", self.rooms(), fresh_name("txn"));
        by.http.put(&target, content).await
    }

    /// Somebody relates to an event.
    pub(crate) async fn relate(&self, by: &User, rel_type: &str, event: &str, body: &str) -> String {
        let content = json!({
            "msgtype": "m.text", "body": body, "m.new_content": {"msgtype": "m.text", "body": body},
            "m.relates_to": {"rel_type": rel_type, "event_id": event},
        });
        self.send(by, "m.room.message", &content).await
    }

    pub(crate) async fn redact(&self, by: &User, event: &str) -> String {
        let target = format!("{}/redact/{}/{}", self.rooms(), encode(event), fresh_name("txn"));
        let answer = by.http.put(&target, &json!({"reason": "why"})).await.ok();
        answer["event_id"].as_str().expect("an event").to_owned()
    }

    pub(crate) async fn page(&self, query: &str) -> Value {
        self.get(&format!("messages?{query}")).await.ok()
    }

    pub(crate) async fn filtered(&self, filter: &Value) -> Value {
        self.page(&format!("dir=b&limit=50&filter={}", encode(&filter.to_string())))
            .await
    }
}

/// The bodies of a list of events; of other events than messages the type.
pub(crate) fn bodies(events: &Value) -> Vec<&str> {
    let events = events.as_array().unwrap_or_else(|| panic!("no list: {events}"));
    events
        .iter()
        .map(|event| match event["content"]["body"].as_str() {
            Some(body) => body,
            None => event["type"].as_str().expect("a type"),
        })
        .collect()
}

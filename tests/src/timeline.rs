//! What a user is given by his syncs, put together as a client does.

use std::{collections::HashSet, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

use crate::{
    http::NoAnswer,
    user::{User, encode},
};

/// How long one sync waits.
const LONG_POLL_MS: u64 = 10_000;
/// Most pages fetched to fill one gap.
const PAGES_MAX: usize = 100;

/// One room's events in the order a client shows them. Panics when an event comes twice.
#[derive(Debug)]
pub struct Timeline {
    user: User,
    room: String,
    since: Option<String>,
    events: Vec<Value>,
    ids: HashSet<String>,
    /// The answer of the latest sync, for what is not in a timeline.
    pub latest: Value,
}

impl Timeline {
    /// Starts with an initial sync.
    pub async fn start(user: &User, room: &str) -> Self {
        let mut timeline = Self {
            user: user.clone(),
            room: room.to_owned(),
            since: None,
            events: Vec::new(),
            ids: HashSet::new(),
            latest: Value::Null,
        };
        timeline.pull(0).await.expect("the server is there");
        timeline
    }

    /// Syncs until `enough` is content with the events so far, through errors that a client would try again after.
    pub async fn until(&mut self, patience: Duration, what: &str, enough: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + patience;
        while !enough(self) {
            let last = self.pull(LONG_POLL_MS).await;
            assert!(
                Instant::now() < deadline || enough(self),
                "{} waited {patience:?} in vain for {what}; the last sync: {last:?}; {} events: {:?}",
                self.user.id,
                self.events.len(),
                self.bodies()
            );
            if last.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// One sync.
    pub async fn pull(&mut self, timeout_ms: u64) -> Result<(), NoAnswer> {
        let answer = self.user.try_sync(self.since.as_deref(), timeout_ms, "").await?;
        if answer.is_retryable() {
            return Err(NoAnswer(answer.text()));
        }
        let body = answer.ok();
        let timeline = &body["rooms"]["join"][&self.room]["timeline"];
        let mut fresh = timeline["events"].as_array().cloned().unwrap_or_default();
        if timeline["limited"] == true && self.since.is_some() {
            let from = timeline["prev_batch"]
                .as_str()
                .expect("a limited timeline says where to go on");
            let mut missing = self.fill_gap(from).await?;
            missing.append(&mut fresh);
            fresh = missing;
        }
        for event in fresh {
            let id = event_id(&event).to_owned();
            assert!(self.ids.insert(id), "{} was given twice: {event}", self.user.id);
            self.events.push(event);
        }
        let next = body["next_batch"].as_str().expect("a sync says where to go on");
        self.since = Some(next.to_owned());
        self.latest = body;
        Ok(())
    }

    /// Pages back from a gap's end to what is known; the events come back in order.
    async fn fill_gap(&self, from: &str) -> Result<Vec<Value>, NoAnswer> {
        let mut missing = Vec::new();
        let mut from = from.to_owned();
        for _ in 0..PAGES_MAX {
            let target = format!(
                "/_matrix/client/v3/rooms/{}/messages?dir=b&limit=100&from={}",
                encode(&self.room),
                encode(&from)
            );
            let answer = self.user.http.try_send(http::Method::GET, &target, "").await?;
            if answer.is_retryable() {
                return Err(NoAnswer(answer.text()));
            }
            let page = answer.ok();
            for event in page["chunk"].as_array().expect("messages gives a chunk") {
                if self.ids.contains(event_id(event)) {
                    missing.reverse();
                    return Ok(missing);
                }
                missing.push(event.clone());
            }
            match page["end"].as_str() {
                Some(end) => end.clone_into(&mut from),
                None => break,
            }
        }
        missing.reverse();
        Ok(missing)
    }

    /// Every event so far, in order.
    pub fn events(&self) -> &[Value] {
        &self.events
    }

    /// The texts of the messages so far, in order.
    pub fn bodies(&self) -> Vec<&str> {
        let messages = self.events.iter().filter(|event| event["type"] == "m.room.message");
        messages.filter_map(|event| event["content"]["body"].as_str()).collect()
    }

    /// The ids of the messages so far, in order.
    pub fn message_ids(&self) -> Vec<&str> {
        let messages = self.events.iter().filter(|event| event["type"] == "m.room.message");
        messages.map(event_id).collect()
    }

    /// Where the next sync goes on.
    pub fn since(&self) -> &str {
        self.since.as_deref().expect("it starts with a sync")
    }
}

fn event_id(event: &Value) -> &str {
    event["event_id"]
        .as_str()
        .unwrap_or_else(|| panic!("an event without an id: {event}"))
}

//! What a user's syncs say of one room.

use plexus_tests::{PATIENCE, User};
use serde_json::Value;
use tokio::time::Instant;

/// How long one sync waits.
const LONG_POLL_MS: u64 = 5_000;

/// Whether a client wants to be told the state after the timeline, or before it as clients of old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Before,
    After,
}

/// A client that syncs.
pub(super) struct Follower {
    user: User,
    room: String,
    wants: Wants,
    since: Option<String>,
    /// Every answer as it came.
    pub(super) heard: Vec<String>,
    /// The timeline since the first answer.
    pub(super) timeline: Vec<Value>,
    /// The state beside it.
    pub(super) state: Vec<Value>,
    /// How many unread messages the last answer counted.
    pub(super) unread: u64,
}

impl Follower {
    /// Syncs for the first time.
    pub(super) async fn start(user: &User, room: &str, wants: Wants) -> Self {
        let mut follower = Self {
            user: user.clone(),
            room: room.to_owned(),
            wants,
            since: None,
            heard: Vec::new(),
            timeline: Vec::new(),
            state: Vec::new(),
            unread: 0,
        };
        follower.pull(0).await;
        follower.timeline.clear();
        follower.state.clear();
        follower
    }

    /// Syncs until the timeline has an event.
    pub(super) async fn until(&mut self, event_id: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.timeline.iter().any(|event| event["event_id"] == event_id) {
            assert!(
                Instant::now() < deadline,
                "{event_id} does not come: {:?}",
                self.timeline
            );
            self.pull(LONG_POLL_MS).await;
        }
    }

    async fn pull(&mut self, timeout_ms: u64) {
        let query = match self.wants {
            Wants::Before => "",
            Wants::After => "&use_state_after=true",
        };
        let answer = self.user.sync(self.since.as_deref(), timeout_ms, query).await;
        let body = answer.ok();
        self.since = body["next_batch"].as_str().map(str::to_owned);
        self.heard.push(answer.text());
        let room = &body["rooms"]["join"][&self.room];
        let section = match self.wants {
            Wants::Before => "state",
            Wants::After => "state_after",
        };
        self.timeline.extend(events(&room["timeline"]));
        self.state.extend(events(&room[section]));
        if let Some(unread) = room["unread_notifications"]["notification_count"].as_u64() {
            self.unread = unread;
        }
    }

    /// The ids of the state events of a type and key that came in the timeline, and beside it.
    pub(super) fn told(&self, kind: &str, state_key: &str) -> (Vec<&str>, Vec<&str>) {
        (
            pick(&self.timeline, kind, state_key),
            pick(&self.state, kind, state_key),
        )
    }
}

fn pick<'a>(events: &'a [Value], kind: &str, state_key: &str) -> Vec<&'a str> {
    let found = events
        .iter()
        .filter(|event| event["type"] == kind && event["state_key"] == state_key);
    found.filter_map(|event| event["event_id"].as_str()).collect()
}

fn events(section: &Value) -> Vec<Value> {
    section["events"].as_array().cloned().unwrap_or_default()
}

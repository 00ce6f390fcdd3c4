use std::collections::BTreeMap;

use ruma::{OwnedEventId, OwnedUserId, RoomId, UserId, room_id, server_name};
use serde_json::{Value, json};

use super::*;
use crate::{
    event::{Legacy, NewEvent, SigningKey},
    room_version::{RoomIdFormat, RoomVersion},
};

mod oracle;
mod rules;
mod spec;

/// What someone wants to do in a [`Room`].
#[derive(Clone, Debug)]
struct Attempt {
    sender: OwnedUserId,
    kind: String,
    state_key: Option<String>,
    content: Value,
    redacts: Option<OwnedEventId>,
}

fn attempt(sender: &str, kind: &str, state_key: Option<&str>, content: Value) -> Attempt {
    let sender = sender.try_into().unwrap();
    Attempt {
        sender,
        kind: kind.to_owned(),
        state_key: state_key.map(Into::into),
        content,
        redacts: None,
    }
}

fn member(sender: &str, target: &str, membership: &str) -> Attempt {
    attempt(
        sender,
        "m.room.member",
        Some(target),
        json!({ "membership": membership }),
    )
}

/// A room in memory, its history a line.
struct Room {
    rules: &'static RoomVersionRules,
    key: SigningKey,
    create: Arc<EventBody>,
    state: BTreeMap<(String, String), Arc<EventBody>>,
    last: OwnedEventId,
    count: i64,
}

impl Room {
    /// A room made by `@alice:one.example`, who has joined nothing yet.
    fn new(version: RoomVersion, mut content: Value) -> Self {
        content["room_version"] = json!(version.as_str());
        let alice = "@alice:one.example";
        if content.get("creator").is_none() {
            content["creator"] = json!(alice);
        }
        let create = attempt(alice, "m.room.create", Some(""), content);
        let key = SigningKey::from_seed("1", &[5; 32]).unwrap();
        let create = Arc::new(seal(version.rules(), &key, None, &create, &[], &[], 0));
        assert_eq!(check(version.rules(), &create, None, &|_, _| None), Ok(()));
        let mut room = Self {
            rules: version.rules(),
            key,
            last: create.event_id().to_owned(),
            create: create.clone(),
            state: BTreeMap::new(),
            count: 1,
        };
        room.state.insert(("m.room.create".to_owned(), String::new()), create);
        room
    }

    /// A room in which alice is and which has a join rule.
    fn with_join_rule(version: RoomVersion, join_rule: &str) -> Self {
        let mut room = Self::new(version, json!({}));
        room.must(&member("@alice:one.example", "@alice:one.example", "join"));
        let rule = json!({ "join_rule": join_rule });
        room.must(&attempt("@alice:one.example", "m.room.join_rules", Some(""), rule));
        room
    }

    fn get(&self, kind: &str, state_key: &str) -> Option<Arc<EventBody>> {
        self.state.get(&(kind.to_owned(), state_key.to_owned())).cloned()
    }

    /// The events of the state that an event like this one names.
    fn auth_events(&self, attempt: &Attempt) -> Vec<Arc<EventBody>> {
        let content = attempt.content.to_string();
        let sender = attempt.sender.as_str();
        auth_types(
            self.rules,
            &attempt.kind,
            sender,
            attempt.state_key.as_deref(),
            &content,
        )
        .iter()
        .filter_map(|(kind, key)| self.get(kind, key))
        .collect()
    }

    fn build(&self, attempt: &Attempt) -> EventBody {
        let auth: Vec<_> = self
            .auth_events(attempt)
            .iter()
            .map(|event| event.event_id().to_owned())
            .collect();
        let prev = std::slice::from_ref(&self.last);
        seal(
            self.rules,
            &self.key,
            Some(self.create.room_id()),
            attempt,
            prev,
            &auth,
            self.count,
        )
    }

    fn check(&self, event: &EventBody) -> Result<(), AuthError> {
        check(self.rules, event, Some(&self.create), &|kind, key| self.get(kind, key))
    }

    fn add(&mut self, event: EventBody) {
        self.last = event.event_id().to_owned();
        self.count += 1;
        if let Some(state_key) = event.state_key() {
            let key = (event.kind().to_owned(), state_key.to_owned());
            self.state.insert(key, Arc::new(event));
        }
    }

    /// Adds the event if it is allowed.
    fn attempt(&mut self, attempt: &Attempt) -> Result<(), AuthError> {
        let event = self.build(attempt);
        self.check(&event)?;
        self.add(event);
        Ok(())
    }

    fn must(&mut self, attempt: &Attempt) {
        assert_eq!(self.attempt(attempt), Ok(()), "{attempt:?}");
    }
}

fn seal(
    rules: &RoomVersionRules,
    key: &SigningKey,
    room_id: Option<&RoomId>,
    attempt: &Attempt,
    prev_events: &[OwnedEventId],
    auth_events: &[OwnedEventId],
    count: i64,
) -> EventBody {
    let content = serde_json::value::to_raw_value(&attempt.content).unwrap();
    let is_create = attempt.kind == "m.room.create";
    let unnamed = is_create && rules.room_id == RoomIdFormat::CreateEventHash;
    let localpart = format!("e{count}");
    let new = NewEvent {
        room_id: room_id.or(Some(room_id!("!room:one.example"))).filter(|_| !unnamed),
        sender: &attempt.sender,
        kind: &attempt.kind,
        state_key: attempt.state_key.as_deref(),
        content: &content,
        prev_events,
        auth_events,
        depth: count,
        origin_server_ts: count.unsigned_abs(),
        redacts: attempt.redacts.as_deref(),
        legacy: Some(Legacy {
            localpart: &localpart,
            hashes: &|_| Some([0; 32]),
        }),
    };
    let server = UserId::parse(attempt.sender.as_str()).map(|user| user.server_name().to_owned());
    new.seal(rules, key, server.as_deref().unwrap_or(server_name!("one.example")))
        .unwrap()
}

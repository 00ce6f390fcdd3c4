//! Rooms with a forked history, in memory: events of any room version, sealed as servers seal them, with the states before and after each.
//!
//! An event is added where its `prev_events` say, with the auth events that the state there selects or with others; the DAG says whether the rules allow it.
//! [`Dag::grow`] does so at random, and makes what is hard for state resolution: forks, bans against kicks, races of power levels, join rules that flip.
//! The states at merges are resolved by `plexus-core`; whoever tests that compares with another resolver.

mod dice;
mod facts;
mod random;

use std::{collections::BTreeMap, sync::Arc};

use plexus_core::{
    auth::{AuthError, AuthEvent, auth_types, check, check_auth_events},
    event::{EventBody, Legacy, NewEvent, SigningKey},
    ids::{EventNid, NodeId},
    resolve::resolve,
    room_version::{RoomIdFormat, RoomVersion, RoomVersionRules},
};
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::{Value, json};

pub use self::{dice::Dice, facts::DagFacts};

/// The time of the first event, in milliseconds since 1970.
const START_TS: u64 = 1_700_000_000_000;

/// The key that all servers of a DAG sign with.
pub const KEY_SEED: [u8; 32] = [5; 32];

/// The id of a room that is given none.
const ROOM: &str = "!room:one.example";

/// Who makes the rooms.
pub const CREATOR: &str = "@alice:one.example";

/// The place of an event in a [`Dag`].
pub type Index = usize;

/// What someone wants to say.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Who.
    pub sender: OwnedUserId,
    /// The event's `type`.
    pub kind: String,
    /// The event's `state_key`, if it is to be a state event.
    pub state_key: Option<String>,
    /// The event's `content`.
    pub content: Value,
    /// The event's `origin_server_ts`; none for a little after all others.
    pub ts: Option<u64>,
}

impl Attempt {
    /// State.
    pub fn state(sender: &str, kind: &str, state_key: &str, content: Value) -> Self {
        Self {
            sender: sender.try_into().expect("senders are user ids"),
            kind: kind.to_owned(),
            state_key: Some(state_key.to_owned()),
            content,
            ts: None,
        }
    }

    /// A message.
    pub fn message(sender: &str, body: &str) -> Self {
        Self {
            state_key: None,
            kind: "m.room.message".to_owned(),
            ..Self::state(sender, "", "", json!({ "msgtype": "m.text", "body": body }))
        }
    }

    /// A membership.
    pub fn member(sender: &str, target: &str, membership: &str) -> Self {
        Self::state(sender, "m.room.member", target, json!({ "membership": membership }))
    }
}

/// An event and where it stands.
#[derive(Clone, Debug)]
pub struct DagEvent {
    /// The event.
    pub body: Arc<EventBody>,
    /// Its auth events.
    pub auth: Vec<Index>,
    /// Whether its auth events or the state before it do not allow it.
    pub is_rejected: bool,
    /// The state before it.
    pub before: NodeId,
    /// The state after it.
    pub after: NodeId,
}

/// A room with all its branches.
#[derive(Debug)]
pub struct Dag {
    /// The rules of the room's version.
    pub rules: &'static RoomVersionRules,
    /// The key of all servers.
    pub key: SigningKey,
    /// Its events, each after those it refers to.
    pub events: Vec<DagEvent>,
    /// State keys, nodes and numbers.
    pub facts: DagFacts,
    /// The room's id before it has an event.
    name: OwnedRoomId,
    /// What tells ids that servers choose from those in rooms of another name.
    suffix: String,
    by_id: BTreeMap<OwnedEventId, Index>,
    dice: Dice,
    /// No random event follows one before this.
    base: Index,
}

impl Dag {
    /// A room that [`CREATOR`] has made and joined, with power levels and open to all.
    pub fn new(version: RoomVersion, seed: u64) -> Self {
        Self::with_create(version, seed, json!({}))
    }

    /// The same with more in the content of its create event.
    pub fn with_create(version: RoomVersion, seed: u64, content: Value) -> Self {
        Self::named(ROOM, version, seed, content)
    }

    /// The same with a room id, for versions that do not make it from the create event.
    pub fn named(name: &str, version: RoomVersion, seed: u64, content: Value) -> Self {
        Self::made_by(CREATOR, name, version, seed, content)
    }

    /// The same, made by somebody else.
    pub fn made_by(creator: &str, name: &str, version: RoomVersion, seed: u64, mut content: Value) -> Self {
        content["room_version"] = json!(version.as_str());
        content["creator"] = json!(creator);
        let mut dag = Self {
            suffix: if name == ROOM {
                String::new()
            } else {
                name.replace([':', '!'], "-")
            },
            name: name.try_into().expect("rooms have room ids"),
            rules: version.rules(),
            key: SigningKey::from_seed("1", &KEY_SEED).expect("the key id is valid"),
            events: Vec::new(),
            facts: DagFacts::default(),
            by_id: BTreeMap::new(),
            dice: Dice::new(seed),
            base: 3,
        };
        let create = dag.add(&[], &Attempt::state(creator, "m.room.create", "", content));
        let join = dag.add(&[create], &Attempt::member(creator, creator, "join"));
        let mut users = json!({});
        if !dag.creators_are_above_levels() {
            users[creator] = json!(100);
        }
        let levels = Attempt::state(creator, "m.room.power_levels", "", json!({ "users": users }));
        let levels = dag.add(&[join], &levels);
        let rules = Attempt::state(creator, "m.room.join_rules", "", json!({ "join_rule": "public" }));
        dag.add(&[levels], &rules);
        dag
    }

    /// Adds an event after others, allowed by what the state before it has for it. Whether it was rejected is in the DAG.
    pub fn add(&mut self, prev: &[Index], attempt: &Attempt) -> Index {
        let before = self.state_before(prev);
        let auth = self.select_auth(before, attempt);
        self.add_with_auth(prev, &auth, attempt)
    }

    /// Adds an event with these auth events.
    pub fn add_with_auth(&mut self, prev: &[Index], auth: &[Index], attempt: &Attempt) -> Index {
        let before = self.state_before(prev);
        let body = Arc::new(self.seal(prev, auth, attempt));
        // The same words at the same time and place are the same event.
        if let Some(known) = self.by_id.get(body.event_id()) {
            return *known;
        }
        let is_rejected = self.judge(&body, auth, before).is_err();
        let index = self.events.len();
        let mut after = before;
        if let (Some(state_key), false) = (body.state_key(), is_rejected) {
            let key = self.facts.intern(body.kind(), state_key);
            after = self.facts.change(before, &[(key, Some(nid(index)))]);
        }
        self.by_id.insert(body.event_id().to_owned(), index);
        self.facts
            .push(body.clone(), is_rejected, auth.iter().map(|at| nid(*at)).collect());
        self.events.push(DagEvent {
            body,
            auth: auth.to_vec(),
            is_rejected,
            before,
            after,
        });
        index
    }

    /// The event of a type and key in a state.
    pub fn get(&self, state: NodeId, kind: &str, state_key: &str) -> Option<Index> {
        self.facts.get(state, kind, state_key).map(index)
    }

    /// The place of an event.
    pub fn find(&self, event: &EventId) -> Option<Index> {
        self.by_id.get(event).copied()
    }

    /// The latest event.
    pub fn last(&self) -> Index {
        self.events.len() - 1
    }

    /// The room's id.
    pub fn room_id(&self) -> OwnedRoomId {
        self.events
            .first()
            .map_or_else(|| self.name.clone(), |create| create.body.room_id().to_owned())
    }

    /// The state that some branches have come to, resolved.
    pub fn state_before(&mut self, prev: &[Index]) -> NodeId {
        let roots: Vec<_> = prev.iter().map(|at| self.events[*at].after).collect();
        let resolved = resolve(self.rules, &roots, &self.facts, None).expect("everything is in memory");
        self.facts.change(resolved.base, &resolved.changes)
    }

    fn creators_are_above_levels(&self) -> bool {
        !self.rules.auth.select_create
    }

    /// The auth events that a state has for an event.
    fn select_auth(&self, state: NodeId, attempt: &Attempt) -> Vec<Index> {
        let content = attempt.content.to_string();
        let state_key = attempt.state_key.as_deref();
        auth_types(self.rules, &attempt.kind, attempt.sender.as_str(), state_key, &content)
            .iter()
            .filter_map(|(kind, key)| self.get(state, kind, key))
            .collect()
    }

    /// Whether the rules allow an event, by its auth events and by the state before it.
    fn judge(&self, event: &EventBody, auth: &[Index], before: NodeId) -> Result<(), AuthError> {
        let create = self.events.first().map(|create| &*create.body);
        let of = |at: &Index| AuthEvent {
            body: &self.events[*at].body,
            is_rejected: self.events[*at].is_rejected,
        };
        let create_event = create.map(|_| of(&0));
        let named: Vec<_> = auth.iter().map(of).collect();
        check_auth_events(self.rules, event, &named, create_event)?;
        let by_auth = |kind: &str, key: &str| {
            let found = auth.iter().find(|at| self.events[**at].body.is_state(kind, key));
            found.map(|at| self.events[*at].body.clone())
        };
        check(self.rules, event, create, &by_auth)?;
        let by_state = |kind: &str, key: &str| self.get(before, kind, key).map(|at| self.events[at].body.clone());
        check(self.rules, event, create, &by_state)
    }

    fn seal(&mut self, prev: &[Index], auth: &[Index], attempt: &Attempt) -> EventBody {
        let ids = |list: &[Index]| -> Vec<OwnedEventId> {
            let id = |at: &Index| self.events[*at].body.event_id().to_owned();
            list.iter().map(id).collect()
        };
        let content = serde_json::value::to_raw_value(&attempt.content).expect("JSON can be written");
        let is_unnamed = attempt.kind == "m.room.create" && self.rules.room_id == RoomIdFormat::CreateEventHash;
        let room_id = self.room_id();
        let count = self.events.len();
        let depth = prev.iter().map(|at| self.events[*at].body.depth()).max();
        let hashes = |id: &EventId| {
            let at = self.by_id.get(id)?;
            Some(self.events[*at].body.reference_hash(self.rules))
        };
        let new = NewEvent {
            room_id: Some(&*room_id).filter(|_| !is_unnamed),
            sender: &attempt.sender,
            kind: &attempt.kind,
            state_key: attempt.state_key.as_deref(),
            content: &content,
            prev_events: &ids(prev),
            auth_events: &ids(auth),
            depth: depth.unwrap_or(0) + 1,
            origin_server_ts: attempt.ts.unwrap_or(START_TS + 1_000 * count as u64),
            redacts: None,
            legacy: Some(Legacy {
                localpart: &format!("e{count}{}", self.suffix),
                hashes: &hashes,
            }),
        };
        new.seal(self.rules, &self.key, attempt.sender.server_name())
            .expect("the attempts here make valid events")
    }
}

/// The number of the event at a place.
pub fn nid(index: Index) -> EventNid {
    EventNid(i64::try_from(index).expect("far fewer") + 1)
}

/// The place of the event with a number.
pub fn index(nid: EventNid) -> Index {
    usize::try_from(nid.0 - 1).expect("numbers start at 1")
}

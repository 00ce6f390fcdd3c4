//! What users might do to each other in a room whose servers do not hear of everything at once.

use plexus_core::{
    event::{SigningKey, sign},
    room_version::RoomVersion,
};
use ruma::server_name;
use serde_json::{Map, Value, json};

use super::{Attempt, CREATOR, Dag, DagEvent, Index, START_TS};

/// Who is about. The first made the room.
const USERS: [&str; 6] = [
    CREATOR,
    "@bob:one.example",
    "@carol:two.example",
    "@dave:two.example",
    "@eve:three.example",
    "@frank:three.example",
];

/// How many branches a random event merges at most.
const PREV_MAX: usize = 3;

/// How far back a random event may start a new branch, usually.
const RECENT: usize = 8;

/// The token of all third-party invites.
const TOKEN: &str = "token";

impl Dag {
    /// A room of any version, as the seed has it, in which nothing has happened yet.
    pub fn random(seed: u64) -> Self {
        let mut dice = super::Dice::new(seed);
        let version = *dice.pick(&RoomVersion::ALL);
        Self::random_of(version, dice.roll())
    }

    /// A room of one version in which nothing has happened yet.
    pub fn random_of(version: RoomVersion, seed: u64) -> Self {
        let mut dice = super::Dice::new(seed);
        let mut content = json!({});
        if version >= RoomVersion::V12 && dice.chance(50) {
            content["additional_creators"] = json!([USERS[2]]);
        }
        if dice.chance(5) {
            content["m.federate"] = json!(false);
        }
        Self::with_create(version, dice.roll(), content)
    }

    /// Lets so many things happen. What the rules do not allow is mostly taken back.
    pub fn grow(&mut self, steps: usize) {
        for _ in 0..steps {
            let prev = self.random_prev();
            let attempt = self.random_attempt(prev[0]);
            let before = self.state_before(&prev);
            let mut auth = self.select_auth(before, &attempt);
            if self.dice.chance(12) {
                self.distort(&mut auth, &attempt);
            }
            let next = self.events.len();
            let added = self.add_with_auth(&prev, &auth, &attempt);
            if added == next && self.events[added].is_rejected && !self.dice.chance(10) {
                self.take_back();
            }
        }
    }

    /// The same, of what follows an event.
    pub fn grow_from(&mut self, base: Index, steps: usize) {
        self.base = base;
        self.grow(steps);
    }

    /// Some events that were accepted, drawn from all; they may lie on one branch.
    pub fn random_accepted(&mut self, count: usize) -> Vec<Index> {
        let accepted: Vec<Index> = (0..self.events.len())
            .filter(|at| !self.events[*at].is_rejected)
            .collect();
        (0..count).map(|_| *self.dice.pick(&accepted)).collect()
    }

    /// The randomness of this room.
    pub fn dice(&mut self) -> &mut super::Dice {
        &mut self.dice
    }

    fn take_back(&mut self) {
        let removed = self.events.pop();
        let id = removed.map(|DagEvent { body, .. }| body.event_id().to_owned());
        id.map(|id| self.by_id.remove(&id));
        self.facts.pop();
    }

    /// Ends of branches, recent events, or now and then something old.
    fn random_prev(&mut self) -> Vec<Index> {
        let accepted: Vec<Index> = (self.base..self.events.len())
            .filter(|at| !self.events[*at].is_rejected)
            .collect();
        let ids = |at: &Index| self.events[*at].body.prev_events().to_vec();
        let referred: Vec<_> = accepted.iter().flat_map(ids).collect();
        let is_end = |at: &Index| !referred.iter().any(|id| id == self.events[*at].body.event_id());
        let ends: Vec<Index> = accepted.iter().copied().filter(is_end).collect();
        let recent = &accepted[accepted.len().saturating_sub(RECENT)..];
        let count = 1 + self.dice.below(PREV_MAX);
        let mut prev = Vec::new();
        for _ in 0..count {
            let from = match self.dice.below(20) {
                0 => &accepted[..],
                1..8 => recent,
                _ => &ends,
            };
            prev.push(*self.dice.pick(from));
        }
        prev.sort_unstable();
        prev.dedup();
        prev
    }

    /// Auth events from elsewhere, or one less.
    fn distort(&mut self, auth: &mut Vec<Index>, attempt: &Attempt) {
        if self.dice.chance(50) {
            let other = self.random_accepted(1)[0];
            *auth = self.select_auth(self.events[other].after, attempt);
        } else if !auth.is_empty() {
            let one = self.dice.below(auth.len());
            auth.remove(one);
        }
    }

    fn random_attempt(&mut self, near: Index) -> Attempt {
        let state = self.events[near].after;
        let joined = |user: &&&str| {
            let member = self.get(state, "m.room.member", user);
            member.is_some_and(|at| self.events[at].body.content_string("membership").as_deref() == Some("join"))
        };
        let joined: Vec<&str> = USERS.iter().filter(joined).copied().collect();
        let sender = match self.dice.below(10) {
            0..2 => *self.dice.pick(&USERS),
            2..5 => joined.first().copied().unwrap_or(CREATOR),
            _ => joined.get(self.dice.below(USERS.len())).copied().unwrap_or(CREATOR),
        };
        let other = *self.dice.pick(&USERS);
        let mut attempt = match self.dice.below(100) {
            0..22 => Attempt::member(other, other, "join"),
            22..48 => self.random_membership(sender, other),
            48..68 => Attempt::state(sender, "m.room.power_levels", "", self.random_levels()),
            68..80 => self.random_join_rules(sender),
            80..88 => Attempt::state(sender, "m.room.topic", "", json!({ "topic": self.dice.below(1_000) })),
            88..90 => Attempt::state(sender, "m.room.power_levels", "other", self.random_levels()),
            90..92 => {
                let server = sender.split_once(':').map_or("", |(_, server)| server);
                Attempt::state(sender, "m.room.aliases", server, json!({}))
            }
            92..94 => Attempt::state(sender, "m.room.third_party_invite", TOKEN, third_party_keys()),
            _ => Attempt::message(sender, "hello"),
        };
        let about = self.events.len() / 3 + self.dice.below(6);
        attempt.ts = Some(START_TS + 1_000 * about as u64);
        attempt
    }

    fn random_membership(&mut self, sender: &str, other: &str) -> Attempt {
        match self.dice.below(20) {
            0..4 => Attempt::member(sender, sender, "leave"),
            4..8 => Attempt::member(sender, other, "leave"),
            8..12 => Attempt::member(sender, other, "ban"),
            12..15 => Attempt::member(sender, other, "invite"),
            15 => Attempt::member(other, other, "knock"),
            16 => Attempt::member(sender, other, "dance"),
            17 => {
                let mut invite = Attempt::member(sender, other, "invite");
                invite.content["third_party_invite"] = json!({ "display_name": "x", "signed": signed_for(other) });
                invite
            }
            _ => {
                let mut join = Attempt::member(other, other, "join");
                join.content["join_authorised_via_users_server"] = json!(sender);
                join
            }
        }
    }

    fn random_levels(&mut self) -> Value {
        let is_stringy = self.rules.version < RoomVersion::V10;
        let level = |dice: &mut super::Dice| match *dice.pick(&[0, 0, 25, 50, 50, 75, 100, 100]) {
            level if is_stringy && dice.chance(5) => json!(format!(" {level} ")),
            level => json!(level),
        };
        let creators = usize::from(self.creators_are_above_levels());
        let mut users = Map::new();
        for user in &USERS[creators..] {
            if self.dice.chance(50) {
                users.insert((*user).to_owned(), level(&mut self.dice));
            }
        }
        if creators == 0 && self.dice.chance(80) {
            users.insert(CREATOR.to_owned(), json!(100));
        }
        let mut content = json!({ "users": users });
        for key in ["users_default", "state_default", "ban", "kick", "invite"] {
            if self.dice.chance(15) {
                content[key] = level(&mut self.dice);
            }
        }
        content
    }

    fn random_join_rules(&mut self, sender: &str) -> Attempt {
        let rules = ["public", "public", "invite", "knock", "restricted", "knock_restricted"];
        let rule = *self.dice.pick(&rules);
        Attempt::state(sender, "m.room.join_rules", "", json!({ "join_rule": rule }))
    }
}

fn identity_key() -> SigningKey {
    SigningKey::from_seed("0", &[1; 32]).expect("the key id is valid")
}

fn third_party_keys() -> Value {
    json!({ "public_key": identity_key().verify_key().to_base64() })
}

/// What an identity server says of the user that the invited address turned out to be.
fn signed_for(user: &str) -> Value {
    let signed = json!({ "mxid": user, "token": TOKEN });
    let signed = sign::sign_json(
        signed.to_string().as_bytes(),
        server_name!("id.example"),
        &identity_key(),
    );
    serde_json::from_str(&signed.expect("an object can be signed")).expect("what was signed is JSON")
}

//! Random rooms in every version: each attempt has to get the verdict that `ruma-state-res` gives it.

use proptest::prelude::*;
use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, RoomVersionId, UInt,
    events::{StateEventType, TimelineEventType},
    room_version_rules::AuthorizationRules,
};
use serde_json::value::RawValue;

use super::*;
use crate::event::sign;

const USERS: [&str; 5] = [
    "@alice:one.example",
    "@bob:one.example",
    "@carol:two.example",
    "@dave:two.example",
    "@eve:three.example",
];

/// How many things are tried in one room.
const ATTEMPTS: usize = 60;

/// An event as ruma wants to see it.
#[derive(Clone, Debug)]
struct OracleEvent {
    event_id: OwnedEventId,
    body: Arc<EventBody>,
    kind: TimelineEventType,
    content: Box<RawValue>,
    redacts: Option<OwnedEventId>,
    is_rejected: bool,
    has_room_id: bool,
}

impl OracleEvent {
    fn new(body: Arc<EventBody>) -> Self {
        Self {
            event_id: body.event_id().to_owned(),
            kind: body.kind().into(),
            content: body.content_raw(),
            redacts: body.redacts().map(ToOwned::to_owned),
            is_rejected: false,
            has_room_id: json::get(body.json(), "room_id").is_some(),
            body,
        }
    }
}

impl ruma_state_res::Event for OracleEvent {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        Some(self.body.room_id()).filter(|_| self.has_room_id)
    }

    fn sender(&self) -> &UserId {
        self.body.sender()
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(UInt::new_saturating(self.body.origin_server_ts()))
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.body.state_key()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.body.prev_events().iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.body.auth_events().iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.is_rejected
    }
}

fn oracle_rules(version: RoomVersion) -> AuthorizationRules {
    RoomVersionId::try_from(version.as_str())
        .unwrap()
        .rules()
        .unwrap()
        .authorization
}

impl Room {
    fn oracle_check(&self, event: &EventBody) -> Result<(), String> {
        let state = |kind: &StateEventType, key: &str| self.get(&kind.to_string(), key).map(OracleEvent::new);
        let event = OracleEvent::new(Arc::new(event.clone()));
        ruma_state_res::check_state_dependent_auth_rules(&oracle_rules(self.rules.version), event, state)
    }
}

fn user() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&USERS[..])
}

fn level(version: RoomVersion) -> BoxedStrategy<Value> {
    let number = prop::sample::select(vec![0_i64, -1, 25, 49, 50, 51, 75, 99, 100, 101]).prop_map(Value::from);
    let text = prop::sample::select(vec!["50", " 50 ", "+100", "-1", "0075"]).prop_map(Value::from);
    if version >= RoomVersion::V10 {
        // Malformed levels are refused at the door, where both see to it.
        let malformed = prop::sample::select(vec![json!("50"), json!(null), json!({})]);
        prop_oneof![30 => number, 1 => malformed].boxed()
    } else {
        prop_oneof![5 => number, 1 => text].boxed()
    }
}

fn levels_of(version: RoomVersion, keys: Vec<&'static str>) -> impl Strategy<Value = Value> {
    let most = keys.len();
    let key = prop::sample::select(keys);
    prop::collection::btree_map(key, level(version), 0..=most).prop_map(|map| {
        map.into_iter()
            .map(|(key, level)| (key.to_owned(), level))
            .collect::<serde_json::Map<_, _>>()
            .into()
    })
}

fn power_levels(version: RoomVersion) -> impl Strategy<Value = Value> {
    let names: Vec<_> = Level::ALL.into_iter().map(Level::as_str).collect();
    let mut users = USERS.to_vec();
    users.push("@alice:one.example");
    let kinds = vec![
        "m.room.power_levels",
        "m.room.topic",
        "m.room.message",
        "m.room.join_rules",
        "m.room.redaction",
    ];
    let users = prop_oneof![
        12 => levels_of(version, users),
        1 => Just(json!({"not a user": 0})),
        1 => Just(json!([])),
    ];
    (
        levels_of(version, names),
        levels_of(version, kinds),
        users,
        levels_of(version, vec!["room", "x"]),
        0..0b1_0000_u8,
    )
        .prop_map(|(mut content, events, users, notifications, parts)| {
            for (bit, key, value) in [(0b01, "events", events), (0b10, "notifications", notifications)] {
                if parts & bit != 0 {
                    content[key] = value;
                }
            }
            // Without users nobody could do much: mostly have some.
            if parts & 0b1100 != 0 {
                content["users"] = users;
            }
            content
        })
}

fn membership(sender: &'static str, other: &'static str) -> impl Strategy<Value = Attempt> {
    let membership = prop::sample::select(vec!["join", "invite", "leave", "ban", "knock", "dance"]);
    let target = prop_oneof![4 => Just(sender), 4 => Just(other), 1 => Just("no user")];
    let voucher = prop::option::weighted(
        0.4,
        prop::sample::select(vec!["@alice:one.example", "@bob:one.example", "@carol:two.example"]),
    );
    let third_party = prop::option::weighted(0.3, (0..4_u8, user()));
    (membership, target, voucher, third_party).prop_map(move |(membership, target, voucher, third_party)| {
        let mut attempt = member(sender, target, membership);
        if let Some(voucher) = voucher {
            attempt.content["join_authorised_via_users_server"] = json!(voucher);
        }
        if let (Some((flaw, mxid)), "invite") = (third_party, membership) {
            attempt.content["third_party_invite"] = third_party_invite(flaw, target, mxid);
        }
        attempt
    })
}

fn identity_key(seed: u8) -> SigningKey {
    SigningKey::from_seed("0", &[seed; 32]).unwrap()
}

/// What an identity server signed, with a flaw or without.
fn third_party_invite(flaw: u8, target: &str, other: &str) -> Value {
    let mxid = if flaw == 1 { other } else { target };
    let signed = json!({"mxid": mxid, "token": "token", "sender": "x"});
    let key = identity_key(if flaw == 2 { 2 } else { 1 });
    let signed = sign::sign_json(signed.to_string().as_bytes(), server_name!("id.example"), &key).unwrap();
    let signed: Value = serde_json::from_str(&signed).unwrap();
    if flaw == 3 {
        json!({"display_name": "x"})
    } else {
        json!({"display_name": "x", "signed": signed})
    }
}

fn any_attempt(version: RoomVersion) -> impl Strategy<Value = Attempt> {
    (user(), user()).prop_flat_map(move |(sender, other)| {
        let state_key = prop::sample::select(vec![None, Some(""), Some(sender), Some(other), Some("one.example")]);
        let rule = vec!["public", "invite", "knock", "restricted", "knock_restricted", "private"];
        let keys = json!({
            "public_key": identity_key(9).verify_key().to_base64(),
            "public_keys": [{"public_key": identity_key(1).verify_key().to_base64()}],
        });
        prop_oneof![
            10 => membership(sender, other),
            3 => power_levels(version).prop_map(move |content| attempt(sender, "m.room.power_levels", Some(""), content)),
            3 => prop::sample::select(rule)
                .prop_map(move |rule| attempt(sender, "m.room.join_rules", Some(""), json!({ "join_rule": rule }))),
            2 => state_key.clone().prop_map(move |key| attempt(sender, "m.room.topic", key, json!({}))),
            1 => state_key.prop_map(move |key| attempt(sender, "m.room.aliases", key, json!({}))),
            1 => Just(attempt(sender, "m.room.message", None, json!({}))),
            1 => Just(attempt(sender, "m.room.third_party_invite", Some("token"), keys)),
            1 => prop::sample::select(vec!["$e1:one.example", "$e1:two.example", "$hash"]).prop_map(move |id| Attempt {
                redacts: Some(EventId::parse(id).unwrap()),
                ..attempt(sender, "m.room.redaction", None, json!({}))
            }),
        ]
    })
}

fn create_content() -> impl Strategy<Value = Value> {
    let creators = prop::option::weighted(0.3, prop::collection::vec(user(), 0..3));
    (prop::option::weighted(0.2, any::<bool>()), creators).prop_map(|(federate, creators)| {
        let mut content = json!({});
        if let Some(federate) = federate {
            content["m.federate"] = json!(federate);
        }
        if let Some(creators) = creators {
            content["additional_creators"] = json!(creators);
        }
        content
    })
}

fn history() -> impl Strategy<Value = (RoomVersion, Value, Vec<Attempt>)> {
    prop::sample::select(&RoomVersion::ALL[..]).prop_flat_map(|version| {
        let attempts = prop::collection::vec(any_attempt(version), ATTEMPTS);
        (Just(version), create_content(), attempts)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn random_rooms_get_rumas_verdicts((version, create, attempts) in history()) {
        let mut room = Room::new(version, create);
        // One who may do everything and rules that let people in make the rest worth trying.
        let opening = member("@alice:one.example", "@alice:one.example", "join");
        let rule = attempt("@alice:one.example", "m.room.join_rules", Some(""), json!({"join_rule": "public"}));
        for attempt in [opening, rule].iter().chain(&attempts) {
            let event = room.build(attempt);
            let (ours, theirs) = (room.check(&event), room.oracle_check(&event));
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}: {:?} or {:?}? {:?}", version, ours, theirs, attempt);
            if ours.is_ok() {
                room.add(event);
            }
        }
    }

    #[test]
    fn auth_events_are_selected_and_judged_as_by_ruma(
        (version, create, attempts) in history(),
        changes in prop::collection::vec((0..6_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>()), ATTEMPTS),
    ) {
        let mut room = Room::new(version, create);
        room.must(&member("@alice:one.example", "@alice:one.example", "join"));
        let rules = oracle_rules(version);
        for (attempt, (change, which, other)) in attempts.iter().zip(&changes) {
            let selected = room.auth_events(attempt);
            let all: Vec<_> = room.state.values().cloned().collect();
            let mut auth_events: Vec<_> = selected.into_iter().map(OracleEvent::new).collect();
            match change {
                1 => auth_events.push(OracleEvent::new(other.get(&all).clone())),
                2 if !auth_events.is_empty() => {
                    auth_events.remove(which.index(auth_events.len()));
                }
                3 if !auth_events.is_empty() => {
                    let index = which.index(auth_events.len());
                    auth_events[index].is_rejected = true;
                }
                _ => {}
            }
            let ids: Vec<_> = auth_events.iter().map(|event| event.event_id.clone()).collect();
            let prev = std::slice::from_ref(&room.last);
            let event = seal(room.rules, &room.key, Some(room.create.room_id()), attempt, prev, &ids[..ids.len().min(10)], room.count);

            let given: Vec<_> =
                auth_events.iter().map(|event| AuthEvent { body: &event.body, is_rejected: event.is_rejected }).collect();
            let create = AuthEvent { body: &room.create, is_rejected: false };
            let ours = check_auth_events(room.rules, &event, &given, Some(create));
            let find = |id: &EventId| {
                let create = OracleEvent::new(room.create.clone());
                auth_events.iter().find(|event| event.event_id == id).cloned().or(Some(create))
            };
            let theirs = ruma_state_res::check_state_independent_auth_rules(&rules, OracleEvent::new(Arc::new(event)), find);
            if theirs.as_ref().is_err_and(|error| error.contains("invalid `")) {
                // Malformed content, which ruma refuses here and we refuse where the rules speak of it.
                prop_assert!(room.check(&room.build(attempt)).is_err(), "{}: {:?} {:?}", version, theirs, attempt);
            } else {
                prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}: {:?} or {:?}? {:?}", version, ours, theirs, attempt);
            }
            room.attempt(attempt).ok();
        }
    }
}

use std::collections::BTreeMap;

use ruma::owned_user_id;

use super::*;

fn member(localpart: &str) -> Member {
    let user_id = UserId::parse(format!("@{localpart}:here")).expect("valid");
    Member {
        user_id,
        display_name: Some(localpart.to_owned()),
        avatar_url: None,
    }
}

fn contents(events: &[InitialEvent]) -> BTreeMap<(String, String), Value> {
    let content = |event: &InitialEvent| serde_json::from_slice(&event.content).expect("JSON");
    events
        .iter()
        .map(|event| ((event.kind.clone(), event.state_key.clone()), content(event)))
        .collect()
}

fn run(room: &NewRoom, version: RoomVersion, invited: &[Member]) -> BTreeMap<(String, String), Value> {
    contents(&expand(room, version, None, &member("alice"), invited).expect("expands"))
}

fn get<'a>(contents: &'a BTreeMap<(String, String), Value>, kind: &str) -> &'a Value {
    &contents[&(kind.to_owned(), String::new())]
}

#[test]
fn every_preset_in_every_version() {
    let rules = [
        (Preset::PrivateChat, "invite", true, 0),
        (Preset::TrustedPrivateChat, "invite", true, 0),
        (Preset::PublicChat, "public", false, 50),
    ];
    for version in RoomVersion::ALL {
        for (preset, join_rule, lets_guests_in, invite) in rules {
            let room = NewRoom {
                preset: Some(preset),
                ..NewRoom::default()
            };
            let invited = [member("bob")];
            let events = run(&room, version, &invited);
            assert_eq!(get(&events, "m.room.join_rules"), &json!({"join_rule": join_rule}));
            assert_eq!(
                get(&events, "m.room.history_visibility"),
                &json!({"history_visibility": "shared"})
            );
            let guest_access = events.get(&("m.room.guest_access".to_owned(), String::new()));
            let can_join = json!({"guest_access": "can_join"});
            assert_eq!(guest_access, lets_guests_in.then_some(&can_join));
            let (create, levels) = (get(&events, "m.room.create"), get(&events, "m.room.power_levels"));
            assert_eq!(levels["invite"], invite);
            assert_eq!(create["room_version"], version.as_str());
            let trusted = preset == Preset::TrustedPrivateChat;
            let has_creators = version == RoomVersion::V12;
            let named = version < RoomVersion::V11;
            assert_eq!(
                create.get("creator"),
                named.then(|| json!("@alice:here")).as_ref(),
                "{version}"
            );
            let (users, additional, tombstone) = match (has_creators, trusted) {
                (true, true) => (json!({}), Some(json!(["@bob:here"])), 150),
                (true, false) => (json!({}), None, 150),
                (false, true) => (json!({"@alice:here": 100, "@bob:here": 100}), None, 100),
                (false, false) => (json!({"@alice:here": 100}), None, 100),
            };
            assert_eq!(levels["users"], users);
            assert_eq!(create.get("additional_creators"), additional.as_ref());
            assert_eq!(levels["events"]["m.room.tombstone"], tombstone);
        }
    }
}

#[test]
fn events_come_in_the_order_of_the_specification() {
    let state = |kind: &str, content: Value| super::super::InitialState {
        kind: kind.to_owned(),
        state_key: String::new(),
        content: serde_json::value::to_raw_value(&content).expect("JSON"),
    };
    let room = NewRoom {
        name: Some("Name".to_owned()),
        topic: Some("Topic".to_owned()),
        is_direct: true,
        initial_state: vec![
            state("m.room.encryption", json!({"algorithm": "m.megolm.v1.aes-sha2"})),
            state("m.room.join_rules", json!({"join_rule": "knock"})),
            state("m.room.name", json!({"name": "overwritten"})),
        ],
        ..NewRoom::default()
    };
    let events = expand(&room, RoomVersion::V10, None, &member("alice"), &[member("bob")]).expect("expands");
    let order: Vec<(&str, &str)> = events
        .iter()
        .map(|event| (event.kind.as_str(), event.state_key.as_str()))
        .collect();
    let expected = [
        ("m.room.create", ""),
        ("m.room.member", "@alice:here"),
        ("m.room.power_levels", ""),
        ("m.room.history_visibility", ""),
        ("m.room.guest_access", ""),
        ("m.room.encryption", ""),
        ("m.room.join_rules", ""),
        ("m.room.name", ""),
        ("m.room.topic", ""),
        ("m.room.member", "@bob:here"),
    ];
    assert_eq!(order, expected);
    let contents = contents(&events);
    assert_eq!(get(&contents, "m.room.name"), &json!({"name": "Name"}));
    assert_eq!(get(&contents, "m.room.topic")["topic"], "Topic");
    let invite = &contents[&("m.room.member".to_owned(), "@bob:here".to_owned())];
    assert_eq!(
        invite,
        &json!({"membership": "invite", "displayname": "bob", "is_direct": true})
    );
}

#[test]
fn visibility_chooses_the_preset_where_none_is_named() {
    for (public, join_rule) in [(true, "public"), (false, "invite")] {
        let room = NewRoom {
            public,
            ..NewRoom::default()
        };
        assert_eq!(
            get(&run(&room, RoomVersion::V12, &[]), "m.room.join_rules")["join_rule"],
            join_rule
        );
    }
}

#[test]
fn creation_content_is_kept_but_for_what_the_server_says() {
    let creation_content = object(json!({
        "creator": "@mallory:there", "room_version": "99", "m.federate": false, "type": "m.space",
        "additional_creators": ["@bob:here", "@bob:here", "@alice:here"],
    }));
    let room = NewRoom {
        creation_content,
        ..NewRoom::default()
    };
    let events = run(&room, RoomVersion::V12, &[]);
    let expected = json!({
        "room_version": "12", "m.federate": false, "type": "m.space", "additional_creators": ["@bob:here"],
    });
    assert_eq!(get(&events, "m.room.create"), &expected);
    for bad in [json!({"m.federate": "no"}), json!({"additional_creators": ["bob"]})] {
        let room = NewRoom {
            creation_content: object(bad),
            ..NewRoom::default()
        };
        assert!(expand(&room, RoomVersion::V12, None, &member("alice"), &[]).is_err());
    }
}

#[test]
fn an_override_of_power_levels_cannot_orphan_the_room() {
    let with = |content: Value, version| {
        let room = NewRoom {
            power_levels_override: object(content),
            ..NewRoom::default()
        };
        expand(&room, version, None, &member("alice"), &[]).map(|events| contents(&events))
    };
    let levels = with(json!({"events_default": 10, "events": {"m.x": 1}}), RoomVersion::V12).expect("expands");
    let levels = get(&levels, "m.room.power_levels");
    assert_eq!(
        (&levels["events_default"], &levels["state_default"]),
        (&json!(10), &json!(50))
    );
    assert_eq!(levels["events"], json!({"m.x": 1, "m.room.tombstone": 150}));
    let bob = owned_user_id!("@bob:here");
    assert!(with(json!({"users": {bob.as_str(): 100}}), RoomVersion::V11).is_err());
    assert!(with(json!({"users": {"@alice:here": 100}}), RoomVersion::V11).is_ok());
    assert!(with(json!({"users": {"@alice:here": 100}}), RoomVersion::V12).is_err());
    assert!(with(json!({"users": {bob.as_str(): 100}}), RoomVersion::V12).is_ok());
    assert!(with(json!({"users": 1}), RoomVersion::V12).is_err());
    assert!(with(json!({"events": []}), RoomVersion::V1).is_err());
}

//! The rules by power: for third-party invites, for everything else, and for the levels themselves.

use super::*;

#[test]
fn whoever_is_not_joined_is_rejected() {
    for version in RoomVersion::ALL {
        for membership in [
            None,
            Some("invite"),
            Some("knock"),
            Some("leave"),
            Some("ban"),
            Some("join"),
        ] {
            let mut room = open(version, json!({"users": {BOB: 100}}));
            make(&mut room, BOB, membership);
            let expected = either(membership == Some("join"), AuthError::NotJoined);
            for (kind, key) in [
                ("m.room.message", None),
                ("m.room.topic", Some("")),
                ("m.room.third_party_invite", Some("token")),
                ("m.room.power_levels", Some("")),
            ] {
                let content = json!({"users": {BOB: 100}});
                expect(&room, &attempt(BOB, kind, key, content), expected.clone());
            }
        }
    }
}

#[test]
fn a_third_party_invite_event_needs_the_invite_level_only() {
    for version in RoomVersion::ALL {
        for level in [9, 10] {
            // Whatever `events` and `state_default` say.
            let events = json!({"m.room.third_party_invite": 90});
            let mut room = open(
                version,
                json!({"invite": 10, "state_default": 90, "events": events, "users": {BOB: level}}),
            );
            make(&mut room, BOB, Some("join"));
            let announced = attempt(BOB, "m.room.third_party_invite", Some("token"), json!({}));
            expect(&room, &announced, either(level == 10, AuthError::NoPowerToInvite));
        }
    }
}

#[test]
fn an_event_needs_the_required_power_level_of_its_type() {
    for version in RoomVersion::ALL {
        let events = json!({"m.room.topic": 20, "m.room.message": 30, "m.room.redaction": 40, "m.room.aliases": 45});
        for (kind, key, needed) in [
            ("m.room.topic", Some(""), 20),
            ("m.room.topic", None, 20),
            ("m.room.message", None, 30),
            ("m.room.message", Some(""), 30),
            ("m.room.redaction", None, 40),
            ("m.room.name", Some(""), 60),
            ("m.sticker", None, 10),
        ] {
            for level in [needed - 1, needed] {
                let mut room = open(
                    version,
                    json!({"events": events, "events_default": 10, "state_default": 60, "redact": 0, "users": {BOB: level}}),
                );
                make(&mut room, BOB, Some("join"));
                let expected = either(level == needed, AuthError::NoPowerToSend(kind.into()));
                expect(&room, &attempt(BOB, kind, key, json!({})), expected);
            }
        }
    }
}

#[test]
fn a_state_key_that_is_a_user_is_for_that_user() {
    for version in RoomVersion::ALL {
        let mut room = open(version, json!({"users": {BOB: 100}}));
        make(&mut room, BOB, Some("join"));
        for (key, is_allowed) in [
            (BOB, true),
            (CAROL, false),
            ("@", false),
            ("@bob", false),
            ("carol@", true),
            ("", true),
        ] {
            let event = attempt(BOB, "org.example.state", Some(key), json!({}));
            expect(&room, &event, either(is_allowed, AuthError::StateOfAnotherUser));
        }
    }
}

/// A room in which bob, who has level 40, changes the levels `before` by `change`.
fn changed(version: RoomVersion, before: &Value, change: &Value) -> Result<(), AuthError> {
    let levels = |part: &Value| {
        let mut levels = json!({"state_default": 0, "users": {BOB: 40}});
        merge(&mut levels, part);
        levels
    };
    let mut room = open(version, levels(before));
    make(&mut room, BOB, Some("join"));
    verdict(&room, &attempt(BOB, "m.room.power_levels", Some(""), levels(change)))
}

fn merge(into: &mut Value, part: &Value) {
    for (key, value) in part.as_object().unwrap() {
        match (into.get_mut(key), value) {
            (Some(inner @ Value::Object(_)), Value::Object(_)) => merge(inner, value),
            _ => into[key] = value.clone(),
        }
    }
}

#[test]
fn a_level_of_its_own_is_changed_within_ones_power() {
    for version in RoomVersion::ALL {
        for level in Level::ALL {
            let key = level.as_str();
            for (before, after, is_allowed) in [
                (json!({key: 40}), json!({key: 40}), true),
                (json!({key: 40}), json!({key: 0}), true),
                (json!({key: 0}), json!({key: 40}), true),
                // The current value is greater than the sender's level.
                (json!({key: 41}), json!({key: 40}), false),
                // The new value is.
                (json!({key: 40}), json!({key: 41}), false),
                // Added or removed: what is inferred from the default counts. (There is always a `state_default` here.)
                (
                    json!({}),
                    json!({key: 30}),
                    level == Level::StateDefault || level.default() <= 40,
                ),
                (
                    json!({key: 30}),
                    json!({}),
                    level == Level::StateDefault || level.default() <= 40,
                ),
                (json!({}), json!({key: 41}), false),
                (json!({key: 41}), json!({}), false),
                (json!({key: 41}), json!({key: 41}), true),
            ] {
                // Of a version that has `state_default` above the sender's level, the event itself would be refused.
                if level == Level::StateDefault && before[key] == 41 {
                    continue;
                }
                let expected = either(is_allowed, AuthError::NoPowerToChange(key.into()));
                assert_eq!(
                    changed(version, &before, &after),
                    expected,
                    "{version} {before} {after}"
                );
            }
        }
    }
}

#[test]
fn an_entry_of_events_or_notifications_is_changed_within_ones_power() {
    for version in RoomVersion::ALL {
        for (property, first) in [("events", 1), ("notifications", 6)] {
            for (before, after, is_allowed) in [
                (json!({"a": 40}), json!({"a": 0}), true),
                (json!({"a": 0}), json!({"a": 40}), true),
                (json!({"a": 41}), json!({"a": 41}), true),
                (json!({"a": 41}), json!({"a": 40}), false),
                (json!({"a": 41}), json!({}), false),
                (json!({"a": 40}), json!({}), true),
                (json!({"a": 40}), json!({"a": 41}), false),
                (json!({}), json!({"a": 41}), false),
                (json!({}), json!({"a": 40}), true),
            ] {
                let is_allowed = is_allowed || !of(version, first, 12);
                let verdict = changed(version, &json!({property: before}), &json!({property: after}));
                let expected = either(is_allowed, AuthError::NoPowerToChange("a".into()));
                assert_eq!(verdict, expected, "{version} {property} {before} {after}");
            }
        }
    }
}

#[test]
fn an_entry_of_users_is_changed_below_ones_power_except_ones_own() {
    for version in RoomVersion::ALL {
        for (user, before, after, is_allowed) in [
            (CAROL, Some(39), Some(40), true),
            (CAROL, Some(39), Some(41), false),
            (CAROL, Some(39), None, true),
            (CAROL, None, Some(40), true),
            (CAROL, None, Some(41), false),
            // Of equals, one may demote oneself only.
            (CAROL, Some(40), Some(39), false),
            (CAROL, Some(40), None, false),
            (CAROL, Some(40), Some(40), true),
            (CAROL, Some(41), Some(41), true),
            (BOB, Some(40), Some(39), true),
            (BOB, Some(40), Some(41), false),
        ] {
            let entry = |level: Option<i64>| match level {
                Some(level) => json!({"users": {user: level}}),
                None => json!({}),
            };
            let expected = either(is_allowed, AuthError::NoPowerToChange(user.into()));
            assert_eq!(
                changed(version, &entry(before), &entry(after)),
                expected,
                "{version} {user} {before:?} {after:?}"
            );
        }
    }
}

#[test]
fn the_first_levels_are_allowed_if_they_are_well_formed() {
    for version in RoomVersion::ALL {
        let verdict = |content: Value| {
            verdict(
                &plain(version),
                &attempt(ALICE, "m.room.power_levels", Some(""), content),
            )
        };
        // No level is beyond anybody while there are none.
        assert_eq!(
            verdict(json!({"ban": 1000, "events": {"a": 1000}, "users": {BOB: 1000}})),
            Ok(()),
            "{version}"
        );
        assert_eq!(verdict(json!({})), Ok(()), "{version}");
        for users in [json!([]), json!("x"), json!(null)] {
            let expected = Err(AuthError::InvalidLevel("users".into()));
            assert_eq!(verdict(json!({ "users": users })), expected, "{version} {users}");
        }
        for key in ["bob", "@bob", "@bob:", "", "!bob:one.example"] {
            let expected = Err(AuthError::InvalidLevel(key.into()));
            assert_eq!(verdict(json!({"users": {key: 0}})), expected, "{version} {key}");
        }
        for (level, last) in [
            (json!("50"), 9),
            (json!(" +050 "), 9),
            (json!(true), 0),
            (json!(null), 0),
            (json!("5.0"), 0),
        ] {
            let is_valid = of(version, 1, last);
            let content = json!({"users": {BOB: level}});
            assert_eq!(
                verdict(content),
                either(is_valid, AuthError::InvalidLevel(BOB.into())),
                "{version} {level}"
            );
        }
    }
}

#[test]
fn since_version_10_every_level_of_the_event_is_an_integer() {
    for version in RoomVersion::ALL {
        for malformed in [json!("50"), json!(null), json!({}), json!([0])] {
            let contents = Level::ALL
                .iter()
                .map(|level| (level.as_str(), json!({level.as_str(): malformed})))
                .chain([
                    ("a", json!({"events": {"a": malformed}})),
                    ("a", json!({"notifications": {"a": malformed}})),
                ]);
            for (name, content) in contents {
                let verdict = verdict(
                    &plain(version),
                    &attempt(ALICE, "m.room.power_levels", Some(""), content.clone()),
                );
                let expected = either(of(version, 1, 9), AuthError::InvalidLevel(name.into()));
                assert_eq!(verdict, expected, "{version} {content}");
            }
        }
        for property in ["events", "notifications"] {
            for malformed in [json!([]), json!(null), json!(1)] {
                let content = json!({ property: malformed });
                let verdict = verdict(
                    &plain(version),
                    &attempt(ALICE, "m.room.power_levels", Some(""), content),
                );
                assert_eq!(
                    verdict,
                    either(of(version, 1, 9), AuthError::InvalidLevel(property.into())),
                    "{version}"
                );
            }
        }
    }
}

#[test]
fn since_version_12_creators_are_not_among_the_users() {
    for version in RoomVersion::ALL {
        let mut room = Room::new(version, json!({"additional_creators": [CAROL]}));
        put(&mut room, &member(ALICE, ALICE, "join"));
        for (user, is_creator) in [(ALICE, true), (CAROL, true), (BOB, false)] {
            let levels = attempt(ALICE, "m.room.power_levels", Some(""), json!({"users": {user: 0}}));
            let is_allowed = !(is_creator && of(version, 12, 12));
            expect(
                &room,
                &levels,
                either(is_allowed, AuthError::LevelOfCreator(user.into())),
            );
        }
    }
}

#[test]
fn in_versions_1_and_2_a_redaction_needs_the_redact_level_or_the_domain_of_its_target() {
    for version in RoomVersion::ALL {
        for (sender, level, target, is_allowed) in [
            (BOB, 50, "$target:two.example", true),
            (BOB, 49, "$target:two.example", false),
            (BOB, 0, "$target:one.example", true),
            (BOB, 0, "$target:one.example:8448", false),
            (CAROL, 0, "$target:two.example", true),
            (CAROL, 0, "$target", false),
        ] {
            let mut room = open(version, json!({"users": {sender: level}}));
            make(&mut room, sender, Some("join"));
            let redaction = Attempt {
                redacts: Some(target.try_into().unwrap()),
                ..attempt(sender, "m.room.redaction", None, json!({}))
            };
            expect(
                &room,
                &redaction,
                either(is_allowed || of(version, 3, 12), AuthError::NoPowerToRedact),
            );
        }
        let mut room = plain(version);
        make(&mut room, BOB, Some("join"));
        // Of nothing at all: by power only.
        let redaction = |sender| attempt(sender, "m.room.redaction", None, json!({}));
        expect(&room, &redaction(ALICE), Ok(()));
        expect(
            &room,
            &redaction(BOB),
            either(of(version, 3, 12), AuthError::NoPowerToRedact),
        );
    }
}

#[test]
fn since_version_3_a_redaction_takes_effect_by_the_redact_level_or_the_senders_domain() {
    for version in RoomVersion::ALL {
        for (sender, level, has_effect) in [(CAROL, 50, true), (CAROL, 49, false), (BOB, 0, true), (ALICE, 0, true)] {
            let users = if sender == ALICE {
                json!({})
            } else {
                json!({sender: level})
            };
            let mut room = open(version, json!({"events": {"m.room.message": 90}, "users": users}));
            let target = room.build(&attempt(BOB, "m.room.message", None, json!({})));
            room.add(target.clone());
            let redaction = room.build(&Attempt {
                redacts: Some(target.event_id().to_owned()),
                ..attempt(sender, "m.room.redaction", None, json!({}))
            });
            let levels = room.get("m.room.power_levels", "");
            let verdict = redaction_allowed(room.rules, &redaction, &target, &room.create, levels.as_deref());
            assert_eq!(verdict, Ok(has_effect || of(version, 1, 2)), "{version} {sender}");
        }
    }
}

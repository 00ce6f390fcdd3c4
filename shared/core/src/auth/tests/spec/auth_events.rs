//! The rule "considering the event's `auth_events`", and which events those should be.

use super::*;

/// A room with everything that events may name as allowing them.
fn full(version: RoomVersion) -> Room {
    let mut room = open(version, json!({"users": {BOB: 50}}));
    for user in [BOB, CAROL] {
        make(&mut room, user, Some("join"));
    }
    put(
        &mut room,
        &attempt(ALICE, "m.room.third_party_invite", Some("token"), json!({})),
    );
    put(&mut room, &attempt(ALICE, "m.room.topic", Some(""), json!({})));
    room
}

fn judge(room: &Room, event: &EventBody, auth_events: &[(Arc<EventBody>, bool)]) -> Result<(), AuthError> {
    let given: Vec<_> = auth_events
        .iter()
        .map(|(body, is_rejected)| AuthEvent {
            body,
            is_rejected: *is_rejected,
        })
        .collect();
    let create = AuthEvent {
        body: &room.create,
        is_rejected: false,
    };
    check_auth_events(room.rules, event, &given, Some(create))
}

/// The auth events an event like this should have, none of them rejected.
fn selected(room: &Room, attempt: &Attempt) -> Vec<(Arc<EventBody>, bool)> {
    room.auth_events(attempt)
        .into_iter()
        .map(|body| (body, false))
        .collect()
}

#[test]
fn auth_events_are_selected_by_type_and_membership() {
    let create = ("m.room.create", "");
    let levels = ("m.room.power_levels", "");
    let rules = ("m.room.join_rules", "");
    let of_user = |user: &'static str| ("m.room.member", user);
    for version in RoomVersion::ALL {
        let third_party = json!({"membership": "invite", "third_party_invite": {"signed": {"token": "token"}}});
        let vouched = |membership: &str| json!({"membership": membership, "join_authorised_via_users_server": ALICE});
        let by_alice = of(version, 8, 12).then(|| of_user(ALICE));
        let plain = |membership: &str| json!({ "membership": membership });
        for (kind, key, content, more) in [
            ("m.room.message", None, json!({}), vec![]),
            ("m.room.topic", Some(""), json!({}), vec![]),
            // The token and the voucher count in membership events only.
            ("m.room.topic", Some(""), third_party.clone(), vec![]),
            ("m.room.member", Some(BOB), plain("join"), vec![rules]),
            (
                "m.room.member",
                Some(CAROL),
                plain("invite"),
                vec![of_user(CAROL), rules],
            ),
            ("m.room.member", Some(BOB), plain("knock"), vec![rules]),
            ("m.room.member", Some(CAROL), plain("leave"), vec![of_user(CAROL)]),
            ("m.room.member", Some(CAROL), plain("ban"), vec![of_user(CAROL)]),
            (
                "m.room.member",
                Some(CAROL),
                third_party,
                vec![of_user(CAROL), rules, ("m.room.third_party_invite", "token")],
            ),
            (
                "m.room.member",
                Some(BOB),
                vouched("join"),
                [rules].into_iter().chain(by_alice).collect(),
            ),
            (
                "m.room.member",
                Some(CAROL),
                vouched("invite"),
                vec![of_user(CAROL), rules],
            ),
        ] {
            let selects_create = of(version, 1, 11).then_some(create);
            let mut expected: Vec<_> = [levels, of_user(BOB)]
                .into_iter()
                .chain(selects_create)
                .chain(more)
                .collect();
            let types = auth_types(version.rules(), kind, BOB, key, &content.to_string());
            let mut types: Vec<_> = types.iter().map(|(kind, key)| (*kind, key.as_str())).collect();
            types.sort_unstable();
            expected.sort_unstable();
            assert_eq!(types, expected, "{version} {kind} {content}");
        }
        assert!(auth_types(version.rules(), "m.room.create", ALICE, Some(""), "{}").is_empty());
    }
}

#[test]
fn duplicate_entries_are_rejected() {
    for version in RoomVersion::ALL {
        let room = full(version);
        let topic = attempt(BOB, "m.room.topic", Some(""), json!({}));
        let event = room.build(&topic);
        for index in 0..selected(&room, &topic).len() {
            let mut given = selected(&room, &topic);
            given.push(given[index].clone());
            assert_eq!(
                judge(&room, &event, &given),
                Err(AuthError::DuplicateAuthEvent),
                "{version}"
            );
        }
        // Another event for the same type and state key is as much of a duplicate.
        let mut given = selected(&room, &topic);
        let again = room.build(&attempt(ALICE, "m.room.power_levels", Some(""), json!({"ban": 1})));
        given.push((Arc::new(again), false));
        assert_eq!(
            judge(&room, &event, &given),
            Err(AuthError::DuplicateAuthEvent),
            "{version}"
        );
    }
}

#[test]
fn entries_that_would_not_be_selected_are_rejected() {
    for version in RoomVersion::ALL {
        let room = full(version);
        let topic = attempt(BOB, "m.room.topic", Some(""), json!({}));
        let event = room.build(&topic);
        assert_eq!(judge(&room, &event, &selected(&room, &topic)), Ok(()), "{version}");
        let mut others: Vec<_> = ["m.room.topic", "m.room.join_rules"]
            .map(|kind| room.get(kind, "").unwrap())
            .into();
        others.push(room.get("m.room.member", CAROL).unwrap());
        others.push(room.get("m.room.third_party_invite", "token").unwrap());
        // A message is no state, whatever its type.
        others.push(Arc::new(room.build(&attempt(
            ALICE,
            "m.room.power_levels",
            None,
            json!({}),
        ))));
        for other in others {
            let mut given = selected(&room, &topic);
            given.push((other.clone(), false));
            assert_eq!(
                judge(&room, &event, &given),
                Err(AuthError::UnexpectedAuthEvent),
                "{version} {}",
                other.kind()
            );
        }
    }
}

#[test]
fn rejected_entries_are_rejected() {
    for version in RoomVersion::ALL {
        let room = full(version);
        let topic = attempt(BOB, "m.room.topic", Some(""), json!({}));
        let event = room.build(&topic);
        for index in 0..selected(&room, &topic).len() {
            let mut given = selected(&room, &topic);
            given[index].1 = true;
            assert_eq!(
                judge(&room, &event, &given),
                Err(AuthError::RejectedAuthEvent),
                "{version}"
            );
        }
    }
}

#[test]
fn the_create_event_is_among_the_entries_up_to_version_11_and_never_since() {
    for version in RoomVersion::ALL {
        let room = full(version);
        let topic = attempt(BOB, "m.room.topic", Some(""), json!({}));
        let event = room.build(&topic);
        let mut given = selected(&room, &topic);
        given.retain(|(body, _)| body.kind() != "m.room.create");
        let without = judge(&room, &event, &given);
        given.push((room.create.clone(), false));
        let with = judge(&room, &event, &given);
        let expected = if of(version, 1, 11) {
            (Ok(()), Err(AuthError::NoCreateAuthEvent))
        } else {
            (Err(AuthError::UnexpectedAuthEvent), Ok(()))
        };
        assert_eq!((with, without), expected, "{version}");
        // Other entries need not be there: what they would allow is then not allowed.
        let few: Vec<_> = of(version, 1, 11)
            .then(|| (room.create.clone(), false))
            .into_iter()
            .collect();
        assert_eq!(judge(&room, &event, &few), Ok(()), "{version}");
    }
}

#[test]
fn since_version_12_the_room_is_named_by_an_accepted_create_event() {
    for version in RoomVersion::ALL {
        let room = full(version);
        let topic = attempt(BOB, "m.room.topic", Some(""), json!({}));
        let event = room.build(&topic);
        let given = selected(&room, &topic);
        let given: Vec<_> = given
            .iter()
            .map(|(body, is_rejected)| AuthEvent {
                body,
                is_rejected: *is_rejected,
            })
            .collect();
        let other = Room::new(version, json!({"other": 1})).create;
        let no_create = room.get("m.room.topic", "").unwrap();
        for create in [
            None,
            Some(AuthEvent {
                body: &room.create,
                is_rejected: true,
            }),
            Some(AuthEvent {
                body: &other,
                is_rejected: false,
            }),
            Some(AuthEvent {
                body: &no_create,
                is_rejected: false,
            }),
        ] {
            let expected = either(of(version, 1, 11), AuthError::NoRoom);
            assert_eq!(
                check_auth_events(room.rules, &event, &given, create),
                expected,
                "{version}"
            );
        }
    }
}

#[test]
fn entries_of_another_room_are_rejected() {
    for version in RoomVersion::ALL {
        let room = full(version);
        let topic = attempt(BOB, "m.room.topic", Some(""), json!({}));
        let event = room.build(&topic);
        let levels = attempt(ALICE, "m.room.power_levels", Some(""), json!({}));
        let elsewhere = ruma::room_id!("!elsewhere:one.example");
        let foreign = seal(room.rules, &room.key, Some(elsewhere), &levels, &[], &[], 9);
        let mut given = selected(&room, &topic);
        given.retain(|(body, _)| body.kind() != "m.room.power_levels");
        given.push((Arc::new(foreign), false));
        assert_eq!(
            judge(&room, &event, &given),
            Err(AuthError::AuthEventOfAnotherRoom),
            "{version}"
        );
    }
}

#[test]
fn a_create_event_is_judged_without_auth_events() {
    for version in RoomVersion::ALL {
        let room = full(version);
        assert_eq!(
            check_auth_events(room.rules, &room.create, &[], None),
            Ok(()),
            "{version}"
        );
    }
}

#[test]
fn a_room_that_is_not_federated_is_for_the_create_senders_domain_only() {
    for version in RoomVersion::ALL {
        for (federate, is_open) in [
            (json!(true), true),
            (json!(false), false),
            (json!("false"), true),
            (json!(null), true),
        ] {
            let mut room = Room::new(version, json!({ "m.federate": federate }));
            put(&mut room, &member(ALICE, ALICE, "join"));
            put(
                &mut room,
                &attempt(ALICE, "m.room.join_rules", Some(""), json!({"join_rule": "public"})),
            );
            let expected = either(is_open, AuthError::NotFederated);
            expect(&room, &member(CAROL, CAROL, "join"), expected.clone());
            expect(&room, &member(BOB, BOB, "join"), Ok(()));
            // The rule comes before the one for aliases.
            let aliases = attempt(CAROL, "m.room.aliases", Some("two.example"), json!({}));
            let otherwise = either(of(version, 1, 5), AuthError::NotJoined);
            expect(&room, &aliases, if is_open { otherwise } else { expected });
        }
    }
}

#[test]
fn aliases_without_a_state_key_are_rejected_up_to_version_5() {
    for version in RoomVersion::ALL {
        let room = plain(version);
        for (key, is_own) in [
            (None, false),
            (Some(""), false),
            (Some("one.example:80"), false),
            (Some("one.example"), true),
        ] {
            let aliases = attempt(ALICE, "m.room.aliases", key, json!({}));
            expect(
                &room,
                &aliases,
                either(is_own || of(version, 6, 12), AuthError::AliasesOfAnotherServer),
            );
        }
    }
}

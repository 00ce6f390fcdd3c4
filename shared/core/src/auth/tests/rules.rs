//! What the rules say where ruma is silent, or where one case tells more than a thousand random ones.

use ruma::{EventId, owned_event_id};

use super::*;

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:one.example";
const CAROL: &str = "@carol:two.example";

fn is_from(version: RoomVersion, first: RoomVersion) -> bool {
    version >= first
}

#[test]
fn create_events_by_version() {
    let key = SigningKey::from_seed("1", &[5; 32]).unwrap();
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let verdict = |sender: &str, content: Value, prev: &[OwnedEventId]| {
            let create = attempt(sender, "m.room.create", Some(""), content);
            check(rules, &seal(rules, &key, None, &create, prev, &[], 0), None, &|_, _| {
                None
            })
        };
        assert_eq!(verdict(ALICE, json!({"creator": ALICE}), &[]), Ok(()));
        assert_eq!(
            verdict(ALICE, json!({"creator": ALICE, "room_version": "3"}), &[]),
            Ok(())
        );
        for unknown in [json!("13"), json!(1), json!(null)] {
            let content = json!({"creator": ALICE, "room_version": unknown});
            assert_eq!(verdict(ALICE, content, &[]), Err(AuthError::CreateRoomVersion));
        }
        let prev = [owned_event_id!("$e:one.example")];
        assert_eq!(
            verdict(ALICE, json!({"creator": ALICE}), &prev),
            Err(AuthError::CreateHasParents)
        );

        let needs_creator = !is_from(version, RoomVersion::V11);
        let expected = if needs_creator {
            Err(AuthError::CreateCreators)
        } else {
            Ok(())
        };
        assert_eq!(verdict(ALICE, json!({}), &[]), expected, "{version}");
        // The room's id is of one.example, where it is of a server at all.
        let is_named = !is_from(version, RoomVersion::V12);
        let expected = if is_named { Err(AuthError::CreateRoomId) } else { Ok(()) };
        assert_eq!(verdict(CAROL, json!({"creator": CAROL}), &[]), expected, "{version}");
        for (creators, is_valid) in [
            (json!([]), true),
            (json!([BOB, CAROL]), true),
            (json!([BOB, "carol"]), false),
            (json!([1]), false),
            (json!(BOB), false),
            (json!(null), false),
        ] {
            let content = json!({"creator": ALICE, "additional_creators": creators});
            let expected = is_valid || !is_from(version, RoomVersion::V12);
            assert_eq!(verdict(ALICE, content, &[]).is_ok(), expected, "{version} {creators}");
        }
    }
}

#[test]
fn a_create_event_of_version_12_has_no_room_id() {
    let rules = RoomVersion::V12.rules();
    let create = Room::new(RoomVersion::V12, json!({})).create;
    let json = sign_again(&create, r#""room_id":"!x","sender""#);
    let named = EventBody::parse(json.as_bytes(), rules).unwrap().trust_internal_plane();
    assert_eq!(check(rules, &named, None, &|_, _| None), Err(AuthError::CreateRoomId));
}

/// The event with something else where its `"sender"` was; its signatures no longer fit.
fn sign_again(event: &EventBody, instead_of_sender: &str) -> String {
    event.json().replace(r#""sender""#, instead_of_sender)
}

#[test]
fn no_event_is_allowed_without_the_create_event_of_its_room() {
    for version in RoomVersion::ALL {
        let room = Room::new(version, json!({}));
        let join = room.build(&member(ALICE, ALICE, "join"));
        let verdict = |create| check(room.rules, &join, create, &|_, _| None);
        assert_eq!(verdict(Some(&*room.create)), Ok(()));
        assert_eq!(verdict(None), Err(AuthError::NoRoom));
    }
    let room = Room::new(RoomVersion::V12, json!({}));
    let other = Room::new(RoomVersion::V12, json!({"a": 1}));
    let join = room.build(&member(ALICE, ALICE, "join"));
    assert_eq!(
        check(room.rules, &join, Some(&other.create), &|_, _| None),
        Err(AuthError::NoRoom)
    );
}

#[test]
fn the_room_may_be_closed_to_other_servers() {
    for version in RoomVersion::ALL {
        let mut room = Room::new(version, json!({"m.federate": false}));
        room.must(&member(ALICE, ALICE, "join"));
        room.must(&attempt(
            ALICE,
            "m.room.join_rules",
            Some(""),
            json!({"join_rule": "public"}),
        ));
        room.must(&member(BOB, BOB, "join"));
        assert_eq!(
            room.attempt(&member(CAROL, CAROL, "join")),
            Err(AuthError::NotFederated)
        );
    }
}

#[test]
fn aliases_belong_to_their_server_up_to_version_5() {
    for version in RoomVersion::ALL {
        let mut room = Room::with_join_rule(version, "public");
        let aliases = |sender, key| attempt(sender, "m.room.aliases", Some(key), json!({}));
        let is_special = !is_from(version, RoomVersion::V6);
        // Carol is not even in the room.
        let expected = if is_special { Ok(()) } else { Err(AuthError::NotJoined) };
        assert_eq!(room.attempt(&aliases(CAROL, "two.example")), expected, "{version}");
        let expected = if is_special {
            Err(AuthError::AliasesOfAnotherServer)
        } else {
            Ok(())
        };
        assert_eq!(room.attempt(&aliases(ALICE, "two.example")), expected, "{version}");
    }
}

#[test]
fn redactions_are_judged_by_rule_or_by_effect() {
    for version in RoomVersion::ALL {
        let mut room = Room::with_join_rule(version, "public");
        room.must(&member(BOB, BOB, "join"));
        room.must(&member(CAROL, CAROL, "join"));
        let target = room.build(&attempt(BOB, "m.room.message", None, json!({})));
        room.add(target.clone());
        let redact = |room: &mut Room, sender: &str, target: &EventId| {
            let redaction = Attempt {
                redacts: Some(target.to_owned()),
                ..attempt(sender, "m.room.redaction", None, json!({}))
            };
            let event = room.build(&redaction);
            let verdict = room.check(&event);
            (event, verdict)
        };
        for (sender, may_redact) in [(ALICE, true), (BOB, true), (CAROL, false)] {
            let (event, verdict) = redact(&mut room, sender, target.event_id());
            let is_ruled = !is_from(version, RoomVersion::V3);
            let expected = if may_redact || !is_ruled {
                Ok(())
            } else {
                Err(AuthError::NoPowerToRedact)
            };
            assert_eq!(verdict, expected, "{version} {sender}");
            let has_effect = redaction_allowed(room.rules, &event, &target, &room.create, None);
            assert_eq!(has_effect, Ok(may_redact || is_ruled), "{version} {sender}");
            let other = room.create.clone();
            assert_eq!(
                redaction_allowed(room.rules, &event, &other, &room.create, None),
                Ok(false)
            );
        }
    }
}

#[test]
fn creators_stand_above_all_levels_in_version_12_only() {
    for version in RoomVersion::ALL {
        let mut room = Room::new(version, json!({"additional_creators": [CAROL]}));
        room.must(&member(ALICE, ALICE, "join"));
        room.must(&attempt(
            ALICE,
            "m.room.join_rules",
            Some(""),
            json!({"join_rule": "public"}),
        ));
        room.must(&member(BOB, BOB, "join"));
        room.must(&member(CAROL, CAROL, "join"));
        let are_above = is_from(version, RoomVersion::V12);
        let levels = |users: Value| attempt(ALICE, "m.room.power_levels", Some(""), json!({ "users": users }));
        let expected = if are_above {
            Err(AuthError::LevelOfCreator(ALICE.into()))
        } else {
            Ok(())
        };
        assert_eq!(
            room.attempt(&levels(json!({ALICE: 100, BOB: 100}))),
            expected,
            "{version}"
        );
        room.attempt(&levels(json!({BOB: 100}))).ok();

        let power_levels = room.get("m.room.power_levels", "").unwrap();
        let read = PowerLevels::read(room.rules, &room.create, Some(&power_levels));
        let carol = read.user_level(CAROL).unwrap();
        assert_eq!(
            carol,
            if are_above {
                UserLevel::Creator
            } else {
                UserLevel::Finite(0)
            }
        );
        assert_eq!(read.user_level(BOB), Ok(UserLevel::Finite(100)));
        // Bob has all the power a number can give.
        let expected = if are_above {
            Err(AuthError::NoPowerToBan)
        } else {
            Ok(())
        };
        assert_eq!(room.attempt(&member(BOB, CAROL, "ban")), expected, "{version}");
    }
}

#[test]
fn defaults_without_power_levels() {
    for version in RoomVersion::ALL {
        let room = Room::new(version, json!({}));
        let levels = PowerLevels::read(room.rules, &room.create, None);
        let creator = if is_from(version, RoomVersion::V12) {
            UserLevel::Creator
        } else {
            UserLevel::Finite(100)
        };
        assert_eq!(levels.user_level(ALICE), Ok(creator));
        assert_eq!(levels.user_level(BOB), Ok(UserLevel::Finite(0)));
        assert_eq!(levels.event_level("m.room.message", false), Ok(0));
        assert_eq!(levels.event_level("m.room.topic", true), Ok(50));
        assert_eq!(levels.notification_level("room"), Ok(50));
        let all = Level::ALL.map(|level| levels.level(level).unwrap());
        assert_eq!(all, [0, 0, 50, 50, 50, 50, 0]);
    }
}

#[test]
fn levels_may_be_strings_before_version_10_and_floats_before_version_6() {
    for version in RoomVersion::ALL {
        for (level, is_allowed) in [
            (json!(" +50 "), !is_from(version, RoomVersion::V10)),
            (json!(50.9), !is_from(version, RoomVersion::V6)),
            (json!(true), false),
        ] {
            if level.is_f64() && !is_allowed {
                continue; // Canonical JSON has no floats there: there is no such event.
            }
            let mut room = Room::with_join_rule(version, "public");
            let levels = attempt(ALICE, "m.room.power_levels", Some(""), json!({"users": {BOB: level}}));
            let expected = if is_allowed {
                Ok(())
            } else {
                Err(AuthError::InvalidLevel(BOB.into()))
            };
            assert_eq!(room.attempt(&levels), expected, "{version} {level}");
            if is_allowed {
                let event = room.get("m.room.power_levels", "").unwrap();
                let read = PowerLevels::read(room.rules, &room.create, Some(&event));
                assert_eq!(read.user_level(BOB), Ok(UserLevel::Finite(50)));
            }
        }
    }
}

#[test]
fn join_rules_of_later_versions_let_nobody_in_before() {
    let rules = [
        ("public", RoomVersion::V1, true),
        ("invite", RoomVersion::V1, false),
        ("knock", RoomVersion::V7, false),
        ("restricted", RoomVersion::V8, false),
        ("knock_restricted", RoomVersion::V10, false),
    ];
    for version in RoomVersion::ALL {
        for (rule, first, is_open) in rules {
            let mut room = Room::with_join_rule(version, rule);
            assert_eq!(
                room.attempt(&member(CAROL, CAROL, "join")).is_ok(),
                is_open,
                "{version} {rule}"
            );
            let may_knock = is_from(version, first) && rule.starts_with("knock");
            assert_eq!(
                room.attempt(&member(CAROL, CAROL, "knock")).is_ok(),
                may_knock,
                "{version} {rule}"
            );
            room.must(&member(ALICE, BOB, "invite"));
            assert_eq!(
                room.attempt(&member(BOB, BOB, "join")).is_ok(),
                is_from(version, first),
                "{version} {rule}"
            );
        }
    }
}

#[test]
fn restricted_joins_need_one_who_may_invite() {
    for version in RoomVersion::ALL
        .into_iter()
        .filter(|version| is_from(*version, RoomVersion::V8))
    {
        let mut room = Room::with_join_rule(version, "restricted");
        room.must(&member(ALICE, BOB, "invite"));
        room.must(&member(BOB, BOB, "join"));
        let levels = json!({"invite": 50, "users": {BOB: 0}});
        room.must(&attempt(ALICE, "m.room.power_levels", Some(""), levels));
        let join = |voucher: Option<&str>| {
            let mut join = member(CAROL, CAROL, "join");
            if let Some(voucher) = voucher {
                join.content["join_authorised_via_users_server"] = json!(voucher);
            }
            join
        };
        assert_eq!(room.attempt(&join(None)), Err(AuthError::NotAuthorised));
        assert_eq!(room.attempt(&join(Some(BOB))), Err(AuthError::NotAuthorised));
        assert_eq!(
            room.attempt(&join(Some("@nobody:one.example"))),
            Err(AuthError::NotAuthorised)
        );
        if is_from(version, RoomVersion::V12) {
            assert_eq!(room.attempt(&join(Some(ALICE))), Ok(()));
        }
    }
}

//! The rule "if type is `m.room.member`".

use ruma::owned_event_id;

use super::*;

const MEMBERSHIPS: [Option<&str>; 6] = [
    None,
    Some("invite"),
    Some("join"),
    Some("knock"),
    Some("leave"),
    Some("ban"),
];

/// Whether somebody can be this in the version.
fn exists(version: RoomVersion, membership: Option<&str>) -> bool {
    membership != Some("knock") || of(version, 7, 12)
}

#[test]
fn no_state_key_or_no_membership_is_rejected() {
    for version in RoomVersion::ALL {
        let room = plain(version);
        let join = json!({"membership": "join"});
        expect(&room, &attempt(BOB, "m.room.member", Some(BOB), join.clone()), Ok(()));
        let invalid = Err(AuthError::InvalidMembership);
        expect(
            &room,
            &attempt(BOB, "m.room.member", None, join.clone()),
            invalid.clone(),
        );
        expect(
            &room,
            &attempt(BOB, "m.room.member", Some("bob"), join),
            invalid.clone(),
        );
        for content in [json!({}), json!({"membership": 1}), json!({"membership": null})] {
            expect(
                &room,
                &attempt(BOB, "m.room.member", Some(BOB), content),
                invalid.clone(),
            );
        }
    }
}

#[test]
fn an_unknown_membership_is_rejected() {
    for version in RoomVersion::ALL {
        let room = stage(version, &json!({"join_rule": "knock"}), None);
        for word in ["", "Join", "dance", "knock"] {
            let is_known = word == "knock" && of(version, 7, 12);
            expect(
                &room,
                &member(BOB, BOB, word),
                either(is_known, AuthError::InvalidMembership),
            );
        }
    }
}

#[test]
fn a_join_right_after_the_create_event_is_the_creators() {
    for version in RoomVersion::ALL {
        // Up to version 10 the content says who that is, since version 11 the sender is.
        for (creator, named) in [(ALICE, ALICE), (if of(version, 1, 10) { BOB } else { ALICE }, BOB)] {
            let mut room = Room::new(version, json!({"creator": named}));
            for user in [ALICE, BOB, CAROL] {
                expect(
                    &room,
                    &member(user, user, "join"),
                    either(user == creator, AuthError::NotInvited),
                );
            }
            // The rule looks at the state key alone.
            expect(&room, &member(CAROL, creator, "join"), Ok(()));
            let other = owned_event_id!("$other:one.example");
            let prev = [room.create.event_id().to_owned(), other.clone()];
            for prev in [&prev[..], std::slice::from_ref(&other), &[]] {
                let join = member(creator, creator, "join");
                let join = seal(room.rules, &room.key, Some(room.create.room_id()), &join, prev, &[], 1);
                assert_eq!(room.check(&join), Err(AuthError::NotInvited), "{version} {prev:?}");
            }
            put(&mut room, &attempt(creator, "m.room.message", None, json!({})));
            expect(&room, &member(creator, creator, "join"), Err(AuthError::NotInvited));
        }
    }
}

#[test]
fn a_join_by_somebody_else_is_rejected() {
    for version in RoomVersion::ALL {
        let mut room = plain(version);
        make(&mut room, BOB, Some("join"));
        expect(&room, &member(BOB, CAROL, "join"), Err(AuthError::ForAnotherUser));
        put(&mut room, &member(ALICE, CAROL, "invite"));
        expect(&room, &member(BOB, CAROL, "join"), Err(AuthError::ForAnotherUser));
    }
}

#[test]
fn a_join_is_allowed_by_join_rule_and_membership() {
    for version in RoomVersion::ALL {
        for (rule, first, for_all) in [
            (json!({"join_rule": "public"}), 1, true),
            (json!({"join_rule": "invite"}), 1, false),
            (json!({"join_rule": "knock"}), 7, false),
            (json!({"join_rule": "restricted"}), 8, false),
            (json!({"join_rule": "knock_restricted"}), 10, false),
            // Otherwise, reject.
            (json!({"join_rule": "private"}), 13, false),
            (json!({"join_rule": "unheard of"}), 13, false),
            (json!({"join_rule": null}), 13, false),
            (json!({}), 13, false),
        ] {
            for membership in MEMBERSHIPS
                .into_iter()
                .filter(|membership| exists(version, *membership))
            {
                let mut room = stage(version, &rule, None);
                make(&mut room, BOB, membership);
                let is_let_in = for_all || matches!(membership, Some("invite" | "join"));
                let vouches =
                    of(version, first, 12) && rule["join_rule"].as_str().is_some_and(|r| r.ends_with("restricted"));
                let expected = if membership == Some("ban") {
                    Err(AuthError::Banned)
                } else if of(version, first, 12) && is_let_in {
                    Ok(())
                } else if vouches {
                    Err(AuthError::NotAuthorised)
                } else {
                    Err(AuthError::NotInvited)
                };
                assert_eq!(
                    verdict(&room, &member(BOB, BOB, "join")),
                    expected,
                    "{version} {rule} {membership:?}"
                );
            }
        }
    }
}

#[test]
fn a_restricted_join_is_authorised_by_a_joined_member_who_may_invite() {
    for version in RoomVersion::ALL {
        for (rule, first) in [("restricted", 8), ("knock_restricted", 10)] {
            for (membership, level, may_vouch) in [
                (Some("join"), 50, true),
                (Some("join"), 49, false),
                (Some("invite"), 50, false),
                (Some("leave"), 100, false),
                (None, 100, false),
            ] {
                let levels = json!({"invite": 50, "users": {CAROL: level}});
                let mut room = stage(version, &json!({"join_rule": rule}), Some(levels));
                make(&mut room, CAROL, membership);
                let mut join = member(BOB, BOB, "join");
                join.content["join_authorised_via_users_server"] = json!(CAROL);
                let error = if of(version, first, 12) {
                    AuthError::NotAuthorised
                } else {
                    AuthError::NotInvited
                };
                expect(&room, &join, either(may_vouch && of(version, first, 12), error.clone()));
                // It is for joins only, and no help to those who are banned.
                make(&mut room, BOB, Some("ban"));
                expect(&room, &join, Err(AuthError::Banned));
                let nobody = member(DAVE, DAVE, "join");
                expect(&room, &nobody, Err(error));
            }
        }
    }
}

/// What an identity server says about `mxid`, signed with the key of this seed.
fn signed(mxid: &str, token: &str, seed: u8) -> Value {
    let key = SigningKey::from_seed("0", &[seed; 32]).unwrap();
    let text = json!({"mxid": mxid, "token": token, "sender": "x"}).to_string();
    let signed = sign::sign_json(text.as_bytes(), server_name!("id.example"), &key).unwrap();
    serde_json::from_str(&signed).unwrap()
}

fn public_key(seed: u8) -> String {
    SigningKey::from_seed("0", &[seed; 32])
        .unwrap()
        .verify_key()
        .to_base64()
}

#[test]
fn a_third_party_invite_is_allowed_if_it_was_announced_and_signed() {
    for version in RoomVersion::ALL {
        let mut room = plain(version);
        let announced = json!({"public_key": public_key(1), "public_keys": [{"public_key": public_key(2)}, {}]});
        put(
            &mut room,
            &attempt(ALICE, "m.room.third_party_invite", Some("token"), announced),
        );
        let invite = |sender: &str, target: &str, third_party: Value| {
            let content = json!({"membership": "invite", "third_party_invite": third_party});
            attempt(sender, "m.room.member", Some(target), content)
        };
        let by_alice = |third_party| invite(ALICE, BOB, third_party);
        for seed in [1, 2] {
            expect(&room, &by_alice(json!({"signed": signed(BOB, "token", seed)})), Ok(()));
        }
        let mut no_mxid = signed(BOB, "token", 1);
        no_mxid.as_object_mut().unwrap().remove("mxid");
        let mut no_token = signed(BOB, "token", 1);
        no_token.as_object_mut().unwrap().remove("token");
        let mut unsigned = signed(BOB, "token", 1);
        unsigned.as_object_mut().unwrap().remove("signatures");
        for flawed in [
            json!({}),
            json!(null),
            json!("signed"),
            json!({"signed": "yes"}),
            json!({ "signed": no_mxid }),
            json!({ "signed": no_token }),
            json!({ "signed": unsigned }),
            json!({"signed": signed(CAROL, "token", 1)}),
            json!({"signed": signed(BOB, "another", 1)}),
            json!({"signed": signed(BOB, "token", 3)}),
        ] {
            expect(&room, &by_alice(flawed), Err(AuthError::InvalidThirdPartyInvite));
        }
        // Another than who announced it.
        make(&mut room, CAROL, Some("join"));
        let whole = json!({"signed": signed(BOB, "token", 1)});
        expect(
            &room,
            &invite(CAROL, BOB, whole.clone()),
            Err(AuthError::InvalidThirdPartyInvite),
        );
        // The sender need not be joined, nor have the power, and the target may be in the room; but not banned.
        put(&mut room, &member(ALICE, ALICE, "leave"));
        make(&mut room, BOB, Some("join"));
        expect(&room, &by_alice(whole.clone()), Ok(()));
        make(&mut room, BOB, Some("ban"));
        expect(&room, &by_alice(whole), Err(AuthError::Banned));
    }
}

#[test]
fn an_invite_needs_a_joined_sender_with_the_invite_level_and_a_target_outside() {
    for version in RoomVersion::ALL {
        for sender in MEMBERSHIPS
            .into_iter()
            .filter(|membership| exists(version, *membership))
        {
            for target in MEMBERSHIPS
                .into_iter()
                .filter(|membership| exists(version, *membership))
            {
                for level in [9, 10] {
                    let mut room = open(version, json!({"invite": 10, "users": {BOB: level}}));
                    make(&mut room, BOB, sender);
                    make(&mut room, CAROL, target);
                    let expected = match (sender, target, level) {
                        (Some("join"), Some("join"), _) => Err(AuthError::AlreadyJoined),
                        (Some("join"), Some("ban"), _) => Err(AuthError::Banned),
                        (Some("join"), _, 10) => Ok(()),
                        (Some("join"), _, _) => Err(AuthError::NoPowerToInvite),
                        _ => Err(AuthError::NotJoined),
                    };
                    expect(&room, &member(BOB, CAROL, "invite"), expected);
                }
            }
        }
    }
}

#[test]
fn one_may_leave_who_is_invited_joined_or_knocking() {
    for version in RoomVersion::ALL {
        for membership in MEMBERSHIPS {
            let mut room = plain(version);
            make(&mut room, BOB, membership);
            let may_leave = match membership {
                Some("invite" | "join") => true,
                Some("knock") => of(version, 7, 12),
                _ => false,
            };
            expect(
                &room,
                &member(BOB, BOB, "leave"),
                either(may_leave, AuthError::CannotLeave),
            );
        }
    }
}

#[test]
fn a_kick_needs_a_joined_sender_the_kick_level_and_a_weaker_target() {
    for version in RoomVersion::ALL {
        for sender in MEMBERSHIPS
            .into_iter()
            .filter(|membership| exists(version, *membership))
        {
            for target in MEMBERSHIPS
                .into_iter()
                .filter(|membership| exists(version, *membership))
            {
                for (level, ban, target_level) in [(30, 30, 29), (29, 29, 0), (30, 30, 30), (30, 31, 29), (31, 31, 30)]
                {
                    let users = json!({BOB: level, CAROL: target_level});
                    let mut room = open(version, json!({"kick": 30, "ban": ban, "users": users}));
                    make(&mut room, BOB, sender);
                    make(&mut room, CAROL, target);
                    let is_stronger = level >= 30 && target_level < level;
                    let expected = match (sender, target) {
                        // To unban, one needs the ban level besides.
                        (Some("join"), Some("ban")) => either(is_stronger && level >= ban, AuthError::NoPowerToUnban),
                        (Some("join"), _) => either(is_stronger, AuthError::NoPowerToKick),
                        _ => Err(AuthError::NotJoined),
                    };
                    expect(&room, &member(BOB, CAROL, "leave"), expected);
                }
            }
        }
    }
}

#[test]
fn a_ban_needs_a_joined_sender_the_ban_level_and_a_weaker_target() {
    for version in RoomVersion::ALL {
        for sender in MEMBERSHIPS
            .into_iter()
            .filter(|membership| exists(version, *membership))
        {
            for target in MEMBERSHIPS
                .into_iter()
                .filter(|membership| exists(version, *membership))
            {
                for (level, target_level) in [(30, 29), (29, 0), (30, 30), (31, 30)] {
                    let mut room = open(version, json!({"ban": 30, "users": {BOB: level, CAROL: target_level}}));
                    make(&mut room, BOB, sender);
                    make(&mut room, CAROL, target);
                    let expected = if sender == Some("join") {
                        either(level >= 30 && target_level < level, AuthError::NoPowerToBan)
                    } else {
                        Err(AuthError::NotJoined)
                    };
                    expect(&room, &member(BOB, CAROL, "ban"), expected);
                }
            }
        }
    }
}

#[test]
fn a_knock_needs_the_join_rule_and_somebody_outside() {
    for version in RoomVersion::ALL {
        for (rule, first) in [
            ("knock", 7),
            ("knock_restricted", 10),
            ("public", 13),
            ("invite", 13),
            ("restricted", 13),
        ] {
            for membership in MEMBERSHIPS {
                let mut room = stage(version, &json!({"join_rule": rule}), None);
                make(&mut room, BOB, membership);
                let expected = if of(version, 1, 6) {
                    Err(AuthError::InvalidMembership)
                } else if !of(version, first, 12) {
                    Err(AuthError::KnockingNotAllowed)
                } else {
                    let is_outside = !matches!(membership, Some("ban" | "invite" | "join"));
                    either(is_outside, AuthError::CannotKnock)
                };
                expect(&room, &member(BOB, BOB, "knock"), expected.clone());
                let for_bob = if expected.is_ok() {
                    Err(AuthError::ForAnotherUser)
                } else {
                    expected
                };
                if membership.is_none() {
                    expect(&room, &member(ALICE, BOB, "knock"), for_bob);
                }
            }
        }
    }
}

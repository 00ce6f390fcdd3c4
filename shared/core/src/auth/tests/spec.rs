//! The authorization rules of the specification, one test for each, over every version.
//!
//! The pages number them differently, so a test has a rule's words for its name; `of(first, last)` says which versions have it.

use super::*;
use crate::event::sign;

mod auth_events;
mod member;
mod power;

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:one.example";
const CAROL: &str = "@carol:two.example";
const DAVE: &str = "@dave:two.example";

/// Whether the version is one of those from `first` to `last`.
fn of(version: RoomVersion, first: usize, last: usize) -> bool {
    let number: usize = version.as_str().parse().unwrap();
    (first..=last).contains(&number)
}

/// A room made by alice, who is in it, with a join rule and with levels if any are given. What becomes part of it is not judged.
fn stage(version: RoomVersion, join_rule: &Value, levels: Option<Value>) -> Room {
    let mut room = Room::new(version, json!({}));
    put(&mut room, &member(ALICE, ALICE, "join"));
    put(
        &mut room,
        &attempt(ALICE, "m.room.join_rules", Some(""), join_rule.clone()),
    );
    if let Some(levels) = levels {
        put(&mut room, &attempt(ALICE, "m.room.power_levels", Some(""), levels));
    }
    room
}

/// A room everybody may join, with levels.
fn open(version: RoomVersion, levels: Value) -> Room {
    stage(version, &json!({"join_rule": "public"}), Some(levels))
}

/// A room everybody may join, with the levels there are without any event.
fn plain(version: RoomVersion) -> Room {
    stage(version, &json!({"join_rule": "public"}), None)
}

/// Makes the event part of the room, allowed or not.
fn put(room: &mut Room, attempt: &Attempt) {
    let event = room.build(attempt);
    room.add(event);
}

/// Makes the user what it says, unless they are nothing at all.
fn make(room: &mut Room, user: &str, membership: Option<&str>) {
    if let Some(membership) = membership {
        put(room, &member(user, user, membership));
    }
}

fn verdict(room: &Room, attempt: &Attempt) -> Result<(), AuthError> {
    room.check(&room.build(attempt))
}

/// Checks it in a version, with the version in what a failure says.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn expect(room: &Room, attempt: &Attempt, expected: Result<(), AuthError>) {
    assert_eq!(
        verdict(room, attempt),
        expected,
        "version {}: {attempt:?}",
        room.rules.version
    );
}

fn either(condition: bool, error: AuthError) -> Result<(), AuthError> {
    if condition { Ok(()) } else { Err(error) }
}

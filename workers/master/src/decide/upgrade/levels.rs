//! Power levels of rooms that are replaced. Pure.

use serde_json::{Map, Value, json};

/// A JSON object.
type Object = Map<String, Value>;

/// The least that the old room asks of everybody who wants to talk or invite in it.
const RESTRICTED: i64 = 50;
/// What creators have where they are users among others.
const CREATOR: i64 = 100;
/// What replacing a room needs where creators are above all levels, unless the room asks for more.
const TOMBSTONE_AMONG_CREATORS: i64 = 150;
const TOMBSTONE: &str = "m.room.tombstone";

/// What holds of state where power levels do not say.
const STATE_DEFAULT: i64 = 50;

/// The power levels that a replacement begins with, and those it gets once its other state is there, if they differ.
#[derive(Debug, PartialEq)]
pub(super) struct Levels {
    pub(super) first: Object,
    pub(super) last: Option<Object>,
}

/// Carries power levels over. `were_creators` and `are_creators` have those whom the old and the new room put above all levels.
pub(super) fn carry_over(old: Object, upgrader: &str, were_creators: &[String], are_creators: &[String]) -> Levels {
    let mut content = as_integers(old);
    let users = object_of(&mut content, "users");
    for creator in were_creators {
        users.insert(creator.clone(), CREATOR.into());
    }
    users.retain(|user, _| !are_creators.contains(user));
    if are_creators.is_empty() {
        return among_equals(content, upgrader);
    }
    let state_default = integer(content.get("state_default")).unwrap_or(STATE_DEFAULT);
    let least = TOMBSTONE_AMONG_CREATORS.max(state_default.saturating_add(1));
    let events = object_of(&mut content, "events");
    let tombstone = integer(events.get(TOMBSTONE)).unwrap_or_default().max(least);
    events.insert(TOMBSTONE.to_owned(), tombstone.into());
    Levels {
        first: content,
        last: None,
    }
}

/// Whoever makes the replacement needs power over all that is carried over, for that long.
fn among_equals(content: Object, upgrader: &str) -> Levels {
    let events = content.get("events").and_then(Value::as_object);
    let events = events
        .into_iter()
        .flat_map(Map::values)
        .filter_map(|level| integer(Some(level)));
    let defaults = ["state_default", "ban", "kick"].map(|key| integer(content.get(key)).unwrap_or(STATE_DEFAULT));
    let needed = events.chain(defaults).max().unwrap_or(STATE_DEFAULT);
    let listed = content.get("users").and_then(|users| integer(users.get(upgrader)));
    let has = listed
        .or_else(|| integer(content.get("users_default")))
        .unwrap_or_default();
    if has >= needed {
        return Levels {
            first: content,
            last: None,
        };
    }
    let mut first = content.clone();
    object_of(&mut first, "users").insert(upgrader.to_owned(), needed.into());
    Levels {
        first,
        last: Some(content),
    }
}

/// The old room's levels once it is replaced: hardly anybody may talk in it or invite to it. Nothing if it is so already.
pub(super) fn restrict(old: &Object) -> Option<Object> {
    let mut content = old.clone();
    let users_default = integer(content.get("users_default")).unwrap_or_default();
    let least = RESTRICTED.max(users_default.saturating_add(1));
    for key in ["events_default", "invite"] {
        let level = integer(content.get(key)).unwrap_or_default().max(least);
        content.insert(key.to_owned(), level.into());
    }
    (content != *old).then_some(content)
}

/// Levels as every version takes them: old ones may have them as texts or with a point.
fn as_integers(mut content: Object) -> Object {
    for (key, value) in &mut content {
        match (key.as_str(), value) {
            ("users" | "events" | "notifications", Value::Object(levels)) => {
                levels.retain(|_, level| integer(Some(level)).is_some());
                for level in levels.values_mut() {
                    *level = json!(integer(Some(level)));
                }
            }
            (_, value) => {
                if let Some(level) = integer(Some(value)) {
                    *value = level.into();
                }
            }
        }
    }
    content
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "old room versions cut the fraction off too"
)]
fn integer(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|number| number.trunc() as i64)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The object at `key`, made if there is none.
fn object_of<'a>(content: &'a mut Object, key: &str) -> &'a mut Object {
    let value = content.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made an object above")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "@alice:x";
    const BOB: &str = "@bob:x";

    fn object(value: Value) -> Object {
        serde_json::from_value(value).expect("an object")
    }

    #[test]
    fn who_has_power_enough_changes_nothing() {
        let old = object(json!({"users": {ALICE: 500}, "events": {TOMBSTONE: 100}}));
        let levels = carry_over(old.clone(), ALICE, &[], &[]);
        assert_eq!(levels, Levels { first: old, last: None });
    }

    #[test]
    fn who_has_too_little_has_it_for_as_long_as_needed() {
        let old = object(json!({"users": {ALICE: 100, BOB: 50}, "events": {"m.room.power_levels": 100}}));
        let levels = carry_over(old.clone(), BOB, &[], &[]);
        assert_eq!(levels.first["users"], json!({ALICE: 100, BOB: 100}));
        assert_eq!(levels.last, Some(old));
    }

    #[test]
    fn creators_leave_the_levels_and_come_back() {
        let creators = [ALICE.to_owned()];
        let old = object(json!({"users": {ALICE: 100, BOB: "50"}, "state_default": "200"}));
        let up = carry_over(old, ALICE, &[], &creators);
        assert_eq!(up.first["users"], json!({BOB: 50}));
        assert_eq!(up.first["events"][TOMBSTONE], 201);
        assert_eq!(up.last, None);
        let down = carry_over(
            object(json!({"users": {BOB: 50}, "events": {TOMBSTONE: 150}})),
            ALICE,
            &creators,
            &[],
        );
        assert_eq!(down.first["users"], json!({ALICE: 150, BOB: 50}));
        assert_eq!(down.last.expect("restored")["users"], json!({ALICE: 100, BOB: 50}));
    }

    #[test]
    fn the_old_room_is_restricted_once() {
        let restricted = restrict(&object(json!({"users_default": 80, "invite": 90}))).expect("changed");
        assert_eq!(
            Value::Object(restricted.clone()),
            json!({"users_default": 80, "events_default": 81, "invite": 90})
        );
        assert_eq!(restrict(&restricted), None);
        assert_eq!(restrict(&Object::new()).expect("changed")["events_default"], 50);
    }
}

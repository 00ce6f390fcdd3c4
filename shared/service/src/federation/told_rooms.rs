//! Rooms as other servers show them: in their directories, and in spaces. Of what they say, what the specification knows is passed on, if it is of the type
//! it should be.

use ruma::{OwnedServerName, RoomId};
use serde_json::{Map, Value};

/// Most servers by which a room is joined that are taken from one event of a space.
const VIA_MAX: usize = 10;
/// Most rooms of a space that are taken.
const CHILDREN_MAX: usize = 1_000;
/// Most rooms whose members a restricted room lets in.
const ALLOWED_MAX: usize = 100;

/// Members that are texts.
const TEXTS: [&str; 8] = [
    "name",
    "topic",
    "avatar_url",
    "canonical_alias",
    "join_rule",
    "room_type",
    "room_version",
    "encryption",
];

/// A room as it is passed on; none if what is said is of no room.
pub(crate) fn clean(told: &Value) -> Option<Map<String, Value>> {
    let room_id = told["room_id"].as_str()?;
    <&RoomId>::try_from(room_id).ok()?;
    let mut room = Map::new();
    room.insert("room_id".to_owned(), room_id.into());
    room.insert(
        "num_joined_members".to_owned(),
        told["num_joined_members"].as_u64().unwrap_or_default().into(),
    );
    for key in ["world_readable", "guest_can_join"] {
        room.insert(key.to_owned(), (told[key] == true).into());
    }
    for key in TEXTS {
        if let Some(text) = told[key].as_str() {
            room.insert(key.to_owned(), text.into());
        }
    }
    if let Some(allowed) = told["allowed_room_ids"].as_array() {
        let allowed = allowed.iter().take(ALLOWED_MAX);
        let allowed: Vec<Value> = allowed.filter(|room| room.is_string()).cloned().collect();
        if !allowed.is_empty() {
            room.insert("allowed_room_ids".to_owned(), allowed.into());
        }
    }
    if let Some(children) = told["children_state"].as_array() {
        let children = children.iter().take(CHILDREN_MAX).filter_map(clean_child);
        room.insert("children_state".to_owned(), children.collect());
    }
    Some(room)
}

/// An event of a space that names a room in it.
fn clean_child(told: &Value) -> Option<Value> {
    let room_id = told["state_key"].as_str()?;
    <&RoomId>::try_from(room_id).ok()?;
    if told["type"] != "m.space.child" || via(&told["content"]).is_empty() {
        return None;
    }
    let mut child = Map::new();
    for key in ["type", "state_key", "content", "sender", "origin_server_ts"] {
        child.insert(key.to_owned(), told[key].clone());
    }
    let is_whole = child["sender"].is_string() && child["origin_server_ts"].is_u64();
    is_whole.then_some(Value::Object(child))
}

/// The servers by which a room of a space can be joined, by the content of the event that names it.
pub(crate) fn via(content: &Value) -> Vec<OwnedServerName> {
    let via = content["via"].as_array().into_iter().flatten();
    let names = via.filter_map(|name| OwnedServerName::try_from(name.as_str()?).ok());
    names.take(VIA_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_of_another_type_is_not_passed_on() {
        let told = json!({
            "room_id": "!a:there", "name": "A", "topic": 1, "num_joined_members": -1, "world_readable": "true",
            "guest_can_join": true, "more": {"x": 1}, "allowed_room_ids": ["!b:there", 1],
            "children_state": [
                {"type": "m.space.child", "state_key": "!c:there", "content": {"via": ["there"]}, "sender": "@a:there", "origin_server_ts": 1},
                {"type": "m.space.child", "state_key": "!d:there", "content": {"via": []}, "sender": "@a:there", "origin_server_ts": 1},
                {"type": "m.space.child", "state_key": "e", "content": {"via": ["there"]}, "sender": "@a:there", "origin_server_ts": 1},
                {"type": "m.room.name", "state_key": "!f:there", "content": {"via": ["there"]}, "sender": "@a:there", "origin_server_ts": 1},
                {"type": "m.space.child", "state_key": "!g:there", "content": {"via": ["there"]}, "sender": "@a:there", "origin_server_ts": "1"},
                7,
            ],
        });
        let room = clean(&told).expect("a room");
        let child = &told["children_state"][0];
        let expected = json!({
            "room_id": "!a:there", "name": "A", "num_joined_members": 0, "world_readable": false, "guest_can_join": true,
            "allowed_room_ids": ["!b:there"], "children_state": [child],
        });
        assert_eq!(Value::Object(room), expected);
        for broken in [json!({}), json!({"room_id": "a"}), json!([]), json!("!a:there")] {
            assert!(clean(&broken).is_none(), "{broken}");
        }
    }
}

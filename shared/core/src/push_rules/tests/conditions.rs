//! When conditions of push rules hold.

use serde_json::{Value, json};

use super::{body, loudness, put};
use crate::{
    event::EventBody,
    push_rules::{Kind, Ruleset},
};

/// Conditions that match a pattern, and whether they hold.
fn on_patterns() -> Vec<(Value, bool)> {
    vec![
        (
            json!({"kind": "event_match", "key": r"content.a\.b.c\\d", "pattern": "te?t"}),
            true,
        ),
        (
            json!({"kind": "event_match", "key": r"content.a\.b.c\d", "pattern": "te?t"}),
            true,
        ),
        (
            json!({"kind": "event_match", "key": "content.a.b", "pattern": "*"}),
            false,
        ),
        (
            json!({"kind": "event_match", "key": "content.n", "pattern": "*"}),
            false,
        ),
        (
            json!({"kind": "event_match", "key": "room_id", "pattern": "!room:x"}),
            true,
        ),
        (json!({"kind": "event_match", "key": "type"}), false),
    ]
}

/// Conditions on the value of a property.
fn on_properties() -> Vec<(Value, bool)> {
    vec![
        (
            json!({"kind": "event_property_is", "key": "content.n", "value": 5}),
            true,
        ),
        (
            json!({"kind": "event_property_is", "key": "content.n", "value": "5"}),
            false,
        ),
        (
            json!({"kind": "event_property_is", "key": "content.yes", "value": true}),
            true,
        ),
        (
            json!({"kind": "event_property_is", "key": "content.none", "value": null}),
            true,
        ),
        (
            json!({"kind": "event_property_is", "key": "content.gone", "value": null}),
            false,
        ),
        (
            json!({"kind": "event_property_is", "key": "content.list", "value": "x"}),
            false,
        ),
        (
            json!({"kind": "event_property_contains", "key": "content.list", "value": "x"}),
            true,
        ),
        (
            json!({"kind": "event_property_contains", "key": "content.list", "value": 5}),
            true,
        ),
        (
            json!({"kind": "event_property_contains", "key": "content.list", "value": "y"}),
            false,
        ),
        (
            json!({"kind": "event_property_contains", "key": "content.body", "value": "hi"}),
            false,
        ),
    ]
}

/// Conditions on the room and those in it.
fn on_circumstances() -> Vec<(Value, bool)> {
    vec![
        (json!({"kind": "contains_display_name"}), true),
        (json!({"kind": "room_member_count", "is": "3"}), true),
        (json!({"kind": "room_member_count", "is": "==3"}), true),
        (json!({"kind": "room_member_count", "is": "<3"}), false),
        (json!({"kind": "room_member_count", "is": ">=3"}), true),
        (json!({"kind": "room_member_count", "is": "many"}), false),
        (json!({"kind": "sender_notification_permission", "key": "room"}), false),
        (json!({"kind": "org.example.unknown"}), false),
    ]
}

#[test]
fn conditions_hold_where_they_should() {
    let holds = |condition: Value, event: &EventBody| {
        let mut rules = Ruleset::default();
        put(
            &mut rules,
            Kind::Override,
            "r",
            json!({"actions": ["notify"], "conditions": [condition]}),
        );
        loudness(&rules, event, false).0
    };
    let event = body(
        "m.custom",
        Some(""),
        &json!({"a.b": {"c\\d": "Text"}, "n": 5, "yes": true, "none": null, "list": ["x", 5, {"y": 1}], "body": "hi bob *THE* builder"}),
    );
    let table = on_patterns()
        .into_iter()
        .chain(on_properties())
        .chain(on_circumstances());
    for (condition, expected) in table {
        assert_eq!(holds(condition.clone(), &event), expected, "{condition}");
    }
}

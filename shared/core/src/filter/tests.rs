//! Filters as clients send them, and what they show.

use proptest::prelude::*;

use super::*;

fn filter(json: &str) -> Filter {
    Filter::parse(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn shows(json: &str, kind: &str, sender: &str) -> bool {
    let filter = RoomEventFilter::parse(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"));
    filter.shows(kind, sender, || false)
}

#[test]
fn the_empty_filter_shows_everything() {
    let everything = filter("{}");
    assert_eq!(everything, Filter::default());
    assert!(everything.room.timeline.shows_all() && everything.presence.shows_all());
    assert!(everything.room.shows_room("!a:b") && everything.room.timeline.shows_room("!a:b"));
    assert!(!everything.room.include_leave && !everything.room.state.lazy_load_members);
}

#[test]
fn types_and_senders() {
    assert!(shows(r#"{"types":["m.room.*"]}"#, "m.room.message", "@a:b"));
    assert!(!shows(r#"{"types":["m.room.*"]}"#, "m.sticker", "@a:b"));
    assert!(!shows(r#"{"types":[]}"#, "m.sticker", "@a:b"));
    assert!(!shows(
        r#"{"types":["m.sticker"],"not_types":["*.sticker"]}"#,
        "m.sticker",
        "@a:b"
    ));
    assert!(shows(r#"{"senders":["@a:b"]}"#, "m.sticker", "@a:b"));
    assert!(!shows(r#"{"senders":["@a:b"]}"#, "m.sticker", "@c:b"));
    assert!(!shows(
        r#"{"senders":["@a:b"],"not_senders":["@a:b"]}"#,
        "m.sticker",
        "@a:b"
    ));
    let typing = filter(r#"{"room":{"ephemeral":{"senders":["@a:b"]}}}"#);
    assert!(!typing.room.ephemeral.events.shows("m.typing", None));
    let typing = filter(r#"{"room":{"ephemeral":{"not_senders":["@a:b"]}}}"#);
    assert!(typing.room.ephemeral.events.shows("m.typing", None));
}

#[test]
fn urls() {
    let with = RoomEventFilter::parse(br#"{"contains_url":true}"#).expect("valid");
    assert!(with.shows("m", "@a:b", || true) && !with.shows("m", "@a:b", || false));
    let without = RoomEventFilter::parse(br#"{"contains_url":false}"#).expect("valid");
    assert!(without.shows("m", "@a:b", || false) && !without.shows("m", "@a:b", || true));
    assert!(!with.shows_all() && !without.shows_all());
}

#[test]
fn rooms() {
    let some = filter(r#"{"room":{"rooms":["!a:b","!c:b"],"not_rooms":["!c:b"],"state":{"not_rooms":["!a:b"]}}}"#);
    assert!(some.room.shows_room("!a:b") && !some.room.shows_room("!c:b") && !some.room.shows_room("!d:b"));
    assert!(!some.room.state.shows_room("!a:b") && some.room.timeline.shows_room("!a:b"));
}

#[test]
fn limits_are_capped() {
    let limit = |limit: &str| {
        filter(&format!(r#"{{"room":{{"timeline":{{"limit":{limit}}}}}}}"#))
            .room
            .timeline
            .events
            .limit
    };
    assert_eq!((limit("7"), limit("0")), (Some(7), Some(0)));
    assert_eq!(limit("100000"), Some(LIMIT_MAX));
    assert_eq!(limit("9223372036854775807"), Some(LIMIT_MAX));
    assert_eq!(limit("null"), None);
}

#[test]
fn what_clients_send() {
    let lazy = filter(
        r#"{"room":{"state":{"lazy_load_members":true},"timeline":{"limit":20,"unread_thread_notifications":true},"include_leave":true}}"#,
    );
    assert!(
        lazy.room.state.lazy_load_members && lazy.room.include_leave && lazy.room.timeline.unread_thread_notifications
    );
    assert_eq!(
        filter(r#"{"presence":null,"room":{"not_rooms":null,"timeline":null},"unknown":1}"#),
        Filter::default()
    );
    assert_eq!(
        filter(r#"{"event_format":"federation"}"#).event_format,
        EventFormat::Federation
    );
}

#[test]
fn errors_say_what_is_wrong() {
    for json in ["", "{", r#"{"room":}"#, "nonsense"] {
        assert_eq!(Filter::parse(json.as_bytes()), Err(FilterError::NotJson), "{json}");
    }
    let bad = [
        r#"{"room":{"timeline":{"limit":-1}}}"#,
        r#"{"room":{"timeline":{"limit":"5"}}}"#,
        r#"{"room":{"timeline":{"types":"m.room.message"}}}"#,
        r#"{"room":{"rooms":["not a room"]}}"#,
        r#"{"room":{"timeline":{"senders":["alice"]}}}"#,
        r#"{"room":[]}"#,
        r#"{"event_format":"other"}"#,
        "[]",
        "5",
    ];
    for json in bad {
        assert!(
            matches!(Filter::parse(json.as_bytes()), Err(FilterError::Bad(_))),
            "{json}"
        );
    }
    let large = format!(r#"{{"room":{{"rooms":["!{}"]}}}}"#, "a".repeat(FILTER_BYTES_MAX));
    assert_eq!(Filter::parse(large.as_bytes()), Err(FilterError::TooLarge));
    let globs = format!(r#"{{"types":[{}"a"]}}"#, r#""*","#.repeat(GLOBS_MAX + 1));
    assert!(matches!(
        RoomEventFilter::parse(globs.as_bytes()),
        Err(FilterError::Bad(_))
    ));
    let deep = "[".repeat(10_000);
    assert!(Filter::parse(deep.as_bytes()).is_err());
}

#[test]
fn fields_are_selected() {
    let select = |paths: &[&str], object: &str| {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let mut out = Vec::new();
        Fields::compile(&paths)
            .expect("few paths")
            .write_selected(object, &mut out);
        String::from_utf8(out).expect("made of text")
    };
    let event = r#"{"content":{"a.b":1,"body":"x","info":{"w":1,"h":2}},"sender":"@a:b","type":"m"}"#;
    assert_eq!(
        select(&["type", "content.body"], event),
        r#"{"content":{"body":"x"},"type":"m"}"#
    );
    assert_eq!(
        select(&[r"content.a\.b", "content.info.h"], event),
        r#"{"content":{"a.b":1,"info":{"h":2}}}"#
    );
    assert_eq!(
        select(&["content", "content.body"], event),
        r#"{"content":{"a.b":1,"body":"x","info":{"w":1,"h":2}}}"#
    );
    assert_eq!(select(&["sender.x", "", "nothing"], event), "{}");
    assert!(Fields::compile(&vec![String::new(); 101]).is_err());
    assert!(Fields::compile(&["a.".repeat(20)]).is_err());
}

/// A glob matched by trying everything.
fn matches_slowly(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skipped| matches_slowly(rest, &name[skipped..])),
        Some((first, rest)) => name
            .split_first()
            .is_some_and(|(next, name)| next == first && matches_slowly(rest, name)),
    }
}

proptest! {
    #[test]
    fn globs_match_as_if_everything_was_tried(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
        let names = Names::with_wildcards(std::slice::from_ref(&pattern)).expect("one is allowed");
        prop_assert_eq!(names.contains(&name), matches_slowly(pattern.as_bytes(), name.as_bytes()));
    }

    #[test]
    fn any_text_is_parsed_without_a_panic(json in r#"[\[{}\]":,a-z0-9\\*-]{0,60}"#) {
        drop(Filter::parse(json.as_bytes()));
        drop(RoomEventFilter::parse(json.as_bytes()));
    }
}

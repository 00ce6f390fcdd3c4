//! Events in the form of version 1 of the client API.

use plexus_core::event::json;
use ruma::RoomId;

use super::super::event::push_comma;

/// What version 1 shows beside the event and not in its `unsigned`.
const COPIED: [&str; 5] = [
    "age",
    "redacted_because",
    "replaces_state",
    "prev_content",
    "invite_room_state",
];

/// Appends an event: as it is written today, with its room, and once more what version 1 had elsewhere.
pub(super) fn write_event(event: &str, room_id: &RoomId, out: &mut Vec<u8>) {
    let room_id = json::get(event, "room_id").is_none().then_some(room_id);
    write_with(event, room_id, out);
    out.pop();
    if let Some(sender) = json::get(event, "sender") {
        write_raw("user_id", sender, out);
    }
    let unsigned = json::get(event, "unsigned").filter(|unsigned| json::is_object(unsigned));
    for name in COPIED {
        if let Some(value) = unsigned.and_then(|unsigned| json::get(unsigned, name)) {
            write_raw(name, value, out);
        }
    }
    out.push(b'}');
}

/// Appends what is no event of a timeline (typing, a receipt, account data), with the room it is of.
pub(super) fn write_with(event: &str, room_id: Option<&RoomId>, out: &mut Vec<u8>) {
    push_comma(out);
    out.extend_from_slice(event.as_bytes());
    if let Some(room_id) = room_id {
        out.pop();
        push_comma(out);
        out.extend_from_slice(b"\"room_id\":");
        json::write_string(out, room_id.as_str());
        out.push(b'}');
    }
}

/// Appends an `m.presence` event, with whom it is about in its content.
pub(super) fn write_presence(event: &str, out: &mut Vec<u8>) {
    let (content, sender) = (json::get(event, "content"), json::get(event, "sender"));
    let (Some(content), Some(sender)) = (content, sender) else {
        return;
    };
    push_comma(out);
    out.extend_from_slice(b"{\"content\":");
    out.extend_from_slice(content.as_bytes());
    out.pop();
    push_comma(out);
    out.extend_from_slice(b"\"user_id\":");
    out.extend_from_slice(sender.as_bytes());
    out.push(b'}');
    write_raw("sender", sender, out);
    write_raw("type", "\"m.presence\"", out);
    out.push(b'}');
}

/// The events of a part that are separated by commas.
pub(super) fn events_of(part: &[u8]) -> Vec<String> {
    let list = format!("[{}]", String::from_utf8_lossy(part));
    json::elements(&list).map(str::to_owned).collect()
}

/// The events of a section as it stands in a sync: `"name":{"events":[...]}`.
pub(super) fn events_of_section(name: &str, section: &[u8]) -> Vec<String> {
    let object = format!("{{{}}}", String::from_utf8_lossy(section));
    let events = json::get(&object, name).and_then(|section| json::get(section, "events"));
    events.map_or_else(Vec::new, |events| json::elements(events).map(str::to_owned).collect())
}

/// Appends a member of an object that has others already.
fn write_raw(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b',');
    json::write_string(out, name);
    out.push(b':');
    out.extend_from_slice(value.as_bytes());
}

#[cfg(test)]
mod tests {
    use ruma::room_id;

    use super::*;

    #[test]
    fn an_event_has_its_room_and_what_version_1_shows_beside_it() {
        let event = r#"{"content":{},"sender":"@a:b","type":"m.x","unsigned":{"age":5,"prev_content":{"b":1}}}"#;
        let mut out = Vec::new();
        write_event(event, room_id!("!r:b"), &mut out);
        write_event(r#"{"content":{},"room_id":"!other:b"}"#, room_id!("!r:b"), &mut out);
        let expected = concat!(
            r#"{"content":{},"sender":"@a:b","type":"m.x","unsigned":{"age":5,"prev_content":{"b":1}},"room_id":"!r:b","#,
            r#""user_id":"@a:b","age":5,"prev_content":{"b":1}},{"content":{},"room_id":"!other:b"}"#
        );
        assert_eq!(String::from_utf8(out).expect("made of text"), expected);
    }

    #[test]
    fn sections_are_taken_apart() {
        assert_eq!(
            events_of(br#"{"a":[1,2]},{"b":"},{"}"#),
            [r#"{"a":[1,2]}"#, r#"{"b":"},{"}"#]
        );
        assert_eq!(events_of(b""), Vec::<String>::new());
        let section = br#""presence":{"events":[{"x":1},{}]}"#;
        assert_eq!(events_of_section("presence", section), [r#"{"x":1}"#, "{}"]);
        assert_eq!(events_of_section("presence", b""), Vec::<String>::new());
        let mut out = Vec::new();
        write_presence(
            r#"{"content":{"presence":"online"},"sender":"@a:b","type":"m.presence"}"#,
            &mut out,
        );
        let expected = r#"{"content":{"presence":"online","user_id":"@a:b"},"sender":"@a:b","type":"m.presence"}"#;
        assert_eq!(String::from_utf8(out).expect("made of text"), expected);
    }
}

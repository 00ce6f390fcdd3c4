//! The format in which clients see an event.

use ruma::EventId;
use serde_json::value::RawValue;

use super::{EventBody, hash::write_member, json, raw};

/// What a client is shown of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientFormat {
    /// Whether `room_id` is there; sync leaves it out, because its events are sorted by room.
    pub with_room_id: bool,
}

/// About what an event for clients is longer than its content, without `unsigned`.
const ROOM_FOR_THE_REST: usize = 400;

impl EventBody {
    /// The event for clients, with `unsigned` as this reader may see it.
    pub fn client_json(&self, format: ClientFormat, unsigned: Option<&RawValue>) -> Box<RawValue> {
        let length = self.content.len() + ROOM_FOR_THE_REST + unsigned.map_or(0, |raw| raw.get().len());
        let mut out = Vec::with_capacity(length);
        self.write_client_json(format, unsigned, &mut out);
        raw(String::from_utf8(out).expect("made of strings"))
    }

    /// Appends the event for clients to `out`: what [`client_json`](Self::client_json) gives, for those who write a
    /// whole response and need no value of its own.
    pub fn write_client_json(&self, format: ClientFormat, unsigned: Option<&RawValue>, out: &mut Vec<u8>) {
        use std::io::Write as _;
        out.extend_from_slice(br#"{"content":"#);
        match &self.redacts {
            Some(redacts) => write_redaction_content(out, self.content(), redacts),
            None => out.extend_from_slice(self.content().as_bytes()),
        }
        push_string(out, ",\"event_id\":", self.event_id.as_str());
        write!(out, ",\"origin_server_ts\":{}", self.origin_server_ts).expect("writing to memory does not fail");
        if let Some(redacts) = &self.redacts {
            push_string(out, ",\"redacts\":", redacts.as_str());
        }
        if format.with_room_id {
            push_string(out, ",\"room_id\":", self.room_id.as_str());
        }
        push_string(out, ",\"sender\":", self.sender.as_str());
        if let Some(state_key) = &self.state_key {
            push_string(out, ",\"state_key\":", state_key);
        }
        push_string(out, ",\"type\":", &self.kind);
        if let Some(unsigned) = unsigned {
            out.extend_from_slice(br#","unsigned":"#);
            out.extend_from_slice(unsigned.get().as_bytes());
        }
        out.push(b'}');
    }

    /// Appends the event as servers have it, with its ids: those that the room's version leaves out are what a client cannot know.
    pub fn write_federation_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.json.as_bytes());
        for (name, id) in [("event_id", self.event_id.as_str()), ("room_id", self.room_id.as_str())] {
            if json::get(&self.json, name).is_none() {
                out.pop();
                push_string(out, &format!(",\"{name}\":"), id);
                out.push(b'}');
            }
        }
    }

    /// The event as users outside of the room may see it: `content`, `sender`, `state_key` and `type`.
    pub fn stripped_json(&self) -> Box<RawValue> {
        let mut out = Vec::with_capacity(self.content.len() + ROOM_FOR_THE_REST);
        out.extend_from_slice(br#"{"content":"#);
        out.extend_from_slice(self.content().as_bytes());
        push_string(&mut out, ",\"sender\":", self.sender.as_str());
        push_string(&mut out, ",\"state_key\":", self.state_key().unwrap_or_default());
        push_string(&mut out, ",\"type\":", &self.kind);
        out.push(b'}');
        raw(String::from_utf8(out).expect("made of strings"))
    }
}

/// Clients look for `redacts` at the top level (before version 11) or in the content (since): they get both.
fn write_redaction_content(out: &mut Vec<u8>, content: &str, redacts: &EventId) {
    push_string(out, "{\"redacts\":", redacts.as_str());
    for member in json::members(content) {
        if member.raw_key != "redacts" {
            write_member(out, &content[member.span]);
        }
    }
    out.push(b'}');
}

fn push_string(out: &mut Vec<u8>, before: &str, text: &str) {
    out.extend_from_slice(before.as_bytes());
    json::write_string(out, text);
}

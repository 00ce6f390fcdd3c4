//! Events as clients see them, written straight into the response's bytes.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#room-event-format>

use std::io::Write as _;

use plexus_storage::events::StoredEvent;

/// One event on its way to a client. What is not set is left out.
#[derive(Clone, Copy, Debug)]
pub struct ClientEvent<'a> {
    pub event: &'a StoredEvent,
    /// Whether `room_id` is written; in sync the place says it.
    pub with_room_id: bool,
    /// The time of day, for `unsigned.age`.
    pub now_ms: i64,
    /// The receiving device's own transaction, if it sent the event.
    pub transaction_id: Option<&'a str>,
    /// The redaction, if the event has been redacted.
    pub redaction: Option<&'a StoredEvent>,
    /// The event whose state this one replaced.
    pub replaced: Option<&'a StoredEvent>,
}

impl<'a> ClientEvent<'a> {
    /// The event with its room, and nothing that depends on who reads it.
    pub fn new(event: &'a StoredEvent, now_ms: i64) -> Self {
        Self {
            event,
            with_room_id: true,
            now_ms,
            transaction_id: None,
            redaction: None,
            replaced: None,
        }
    }

    /// Appends the event as a JSON object.
    pub fn write(&self, out: &mut Vec<u8>) {
        let body = &self.event.body;
        out.extend_from_slice(b"{\"content\":");
        self.write_content(out);
        write_member(out, "event_id", body.event_id().as_str());
        write_number(out, "origin_server_ts", body.origin_server_ts());
        if let Some(redacts) = body.redacts() {
            write_member(out, "redacts", redacts.as_str());
        }
        if self.with_room_id {
            write_member(out, "room_id", body.room_id().as_str());
        }
        write_member(out, "sender", body.sender().as_str());
        if let Some(state_key) = body.state_key() {
            write_member(out, "state_key", state_key);
        }
        write_member(out, "type", body.kind());
        self.write_unsigned(out);
        out.push(b'}');
    }

    /// The content; a redaction's names the redacted event whatever the room version, as both older and newer clients look for it.
    fn write_content(&self, out: &mut Vec<u8>) {
        let body = &self.event.body;
        let content = body.content();
        let missing = body.redacts().filter(|_| !content.contains("\"redacts\""));
        match (missing, content.strip_suffix('}')) {
            (Some(redacts), Some(open)) => {
                out.extend_from_slice(open.as_bytes());
                if open.len() > 1 {
                    out.push(b',');
                }
                out.extend_from_slice(b"\"redacts\":");
                write_string(out, redacts.as_str());
                out.push(b'}');
            }
            (_, _) => out.extend_from_slice(content.as_bytes()),
        }
    }

    fn write_unsigned(&self, out: &mut Vec<u8>) {
        let sent_ms = i64::try_from(self.event.body.origin_server_ts()).unwrap_or(i64::MAX);
        out.extend_from_slice(b",\"unsigned\":{\"age\":");
        write_display(out, self.now_ms.saturating_sub(sent_ms).max(0));
        if let Some(replaced) = self.replaced {
            out.extend_from_slice(b",\"prev_content\":");
            out.extend_from_slice(replaced.body.content().as_bytes());
            write_member(out, "replaces_state", replaced.body.event_id().as_str());
        }
        if let Some(redaction) = self.redaction {
            out.extend_from_slice(b",\"redacted_because\":");
            let because = ClientEvent {
                with_room_id: self.with_room_id,
                ..ClientEvent::new(redaction, self.now_ms)
            };
            because.write(out);
        }
        if let Some(transaction_id) = self.transaction_id {
            write_member(out, "transaction_id", transaction_id);
        }
        out.push(b'}');
    }
}

/// Appends `,"name":"value"`. Names are ours and need no escapes.
fn write_member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write_string(out, value);
}

fn write_number(out: &mut Vec<u8>, name: &str, value: u64) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write_display(out, value);
}

fn write_display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("writing to a Vec cannot fail");
}

/// Appends a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    let plain = text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("writing a string to a Vec cannot fail");
    }
}

#[cfg(test)]
mod tests;

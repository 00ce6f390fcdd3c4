//! Events as clients see them, written straight into the response's bytes.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#room-event-format>

use std::io::Write as _;

use plexus_core::{
    event::{ClientFormat, json},
    filter::{EventFormat, Fields},
    row::Membership,
};
use plexus_storage::events::StoredEvent;

/// One event on its way to a client. What is not set is left out.
#[derive(Clone, Copy, Debug)]
pub struct ClientEvent<'a> {
    pub event: &'a StoredEvent,
    /// Whether `room_id` is written; in sync the place says it.
    pub with_room_id: bool,
    /// As clients have it, or as servers have it.
    pub format: EventFormat,
    /// Which fields are written; `None`: all.
    pub fields: Option<&'a Fields>,
    /// The time of day, for `unsigned.age`.
    pub now_ms: i64,
    /// The receiving device's own transaction, if it sent the event.
    pub transaction_id: Option<&'a str>,
    /// The redaction, if the event has been redacted.
    pub redaction: Option<&'a StoredEvent>,
    /// The event whose state this one replaced.
    pub replaced: Option<&'a StoredEvent>,
    /// What the reader was to the room then.
    pub membership: Option<Membership>,
    /// What others relate to it, summed up: the JSON of `m.relations`.
    pub relations: Option<&'a [u8]>,
}

impl<'a> ClientEvent<'a> {
    /// The event with its room, and nothing that depends on who reads it.
    pub fn new(event: &'a StoredEvent, now_ms: i64) -> Self {
        Self {
            event,
            with_room_id: true,
            format: EventFormat::Client,
            fields: None,
            now_ms,
            transaction_id: None,
            redaction: None,
            replaced: None,
            membership: None,
            relations: None,
        }
    }

    /// Appends the event as a JSON object.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Some(fields) = self.fields else {
            return self.write_whole(out);
        };
        let mut whole = Vec::with_capacity(self.event.body.json().len());
        self.write_whole(&mut whole);
        let whole = String::from_utf8(whole).expect("made of strings");
        fields.write_selected(&whole, out);
    }

    fn write_whole(&self, out: &mut Vec<u8>) {
        let body = &self.event.body;
        match self.format {
            EventFormat::Client => {
                let with_room_id = self.with_room_id;
                body.write_client_json(ClientFormat { with_room_id }, None, out);
            }
            EventFormat::Federation => body.write_federation_json(out),
        }
        // Into the object that was just closed.
        out.pop();
        self.write_unsigned(out);
        out.push(b'}');
    }

    fn write_unsigned(&self, out: &mut Vec<u8>) {
        let sent_ms = i64::try_from(self.event.body.origin_server_ts()).unwrap_or(i64::MAX);
        let age_ms = self.now_ms.saturating_sub(sent_ms).max(0);
        write!(out, ",\"unsigned\":{{\"age\":{age_ms}").expect("writing to a Vec cannot fail");
        if let Some(relations) = self.relations {
            out.extend_from_slice(b",\"m.relations\":");
            out.extend_from_slice(relations);
        }
        if let Some(membership) = self.membership {
            write_member(out, "membership", membership.as_str());
        }
        if let Some(replaced) = self.replaced {
            out.extend_from_slice(b",\"prev_content\":");
            out.extend_from_slice(replaced.body.content().as_bytes());
            write_member(out, "prev_sender", replaced.body.sender().as_str());
            write_member(out, "replaces_state", replaced.body.event_id().as_str());
        }
        if let Some(redaction) = self.redaction {
            out.extend_from_slice(b",\"redacted_because\":");
            let because = ClientEvent {
                with_room_id: self.with_room_id,
                format: self.format,
                ..ClientEvent::new(redaction, self.now_ms)
            };
            because.write(out);
            write_member(out, "redacted_by", redaction.body.event_id().as_str());
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

/// Appends a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    json::write_string(out, text);
}

#[cfg(test)]
mod tests;

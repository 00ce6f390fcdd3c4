//! Events as one device sees them, written straight into the answer.

use std::io::Write as _;

use plexus_core::{
    event::{ClientFormat, json::write_string},
    filter::EventFormat,
    row::Membership,
};
use plexus_storage::events::StoredEvent;

use super::scope::Scope;

/// What is said about an event besides what is in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Remarks<'a> {
    /// What the user was to the room then.
    pub(super) membership: Option<Membership>,
    /// The event whose state this one replaced.
    pub(super) replaced: Option<&'a StoredEvent>,
    /// The redaction that took its content.
    pub(super) redaction: Option<&'a StoredEvent>,
    /// What relates to it, summed up.
    pub(super) relations: Option<&'a [u8]>,
}

/// Appends an event as the device wants to see it.
pub(super) fn write(scope: &Scope<'_>, event: &StoredEvent, remarks: Remarks<'_>, out: &mut Vec<u8>) {
    match &scope.filter.event_fields {
        None => write_whole(scope, event, remarks, out),
        Some(fields) => {
            let mut whole = Vec::with_capacity(event.body.json().len());
            write_whole(scope, event, remarks, &mut whole);
            let whole = String::from_utf8(whole).expect("made of strings");
            fields.write_selected(&whole, out);
        }
    }
}

fn write_whole(scope: &Scope<'_>, event: &StoredEvent, remarks: Remarks<'_>, out: &mut Vec<u8>) {
    match scope.filter.event_format {
        EventFormat::Client => event
            .body
            .write_client_json(ClientFormat { with_room_id: false }, None, out),
        EventFormat::Federation => event.body.write_federation_json(out),
    }
    // Into the object that was just closed.
    out.pop();
    write_unsigned(scope, event, remarks, out);
    out.push(b'}');
}

fn write_unsigned(scope: &Scope<'_>, event: &StoredEvent, remarks: Remarks<'_>, out: &mut Vec<u8>) {
    let sent_ms = i64::try_from(event.body.origin_server_ts()).unwrap_or(i64::MAX);
    out.extend_from_slice(b",\"unsigned\":{\"age\":");
    write_number(out, scope.now_ms.saturating_sub(sent_ms).max(0));
    if let Some(membership) = remarks.membership {
        out.extend_from_slice(b",\"membership\":");
        write_string(out, membership.as_str());
    }
    if let Some(relations) = remarks.relations {
        out.extend_from_slice(b",\"m.relations\":");
        out.extend_from_slice(relations);
    }
    if let Some(replaced) = remarks.replaced {
        out.extend_from_slice(b",\"prev_content\":");
        out.extend_from_slice(replaced.body.content().as_bytes());
        out.extend_from_slice(b",\"prev_sender\":");
        write_string(out, replaced.body.sender().as_str());
        out.extend_from_slice(b",\"replaces_state\":");
        write_string(out, replaced.body.event_id().as_str());
    }
    if let Some(redaction) = remarks.redaction {
        out.extend_from_slice(b",\"redacted_because\":");
        write_whole(scope, redaction, Remarks::default(), out);
    }
    if let Some(transaction_id) = transaction_id(scope, event) {
        out.extend_from_slice(b",\"transaction_id\":");
        write_string(out, transaction_id);
    }
    out.push(b'}');
}

/// The id under which this very device sent the event.
fn transaction_id<'a>(scope: &Scope<'_>, event: &'a StoredEvent) -> Option<&'a str> {
    let transaction = event.transaction.as_ref()?;
    let is_own = event.sender == scope.requester.user && transaction.device == scope.requester.device_id;
    is_own.then_some(transaction.id.as_str())
}

/// Appends a comma, unless what comes is the first of its list or object.
pub(super) fn push_comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b'[' | b'{')) {
        out.push(b',');
    }
}

/// Appends a number.
pub(super) fn write_number(out: &mut Vec<u8>, number: i64) {
    write!(out, "{number}").expect("writing to memory does not fail");
}

//! Redaction: what remains of an event when all that the protocol does not need is taken away.
//!
//! The same reduction is what signatures and the reference hash cover. See
//! <https://spec.matrix.org/v1.19/client-server-api/#redactions> and each room version's page.

use super::{hash::write_member, json};
use crate::room_version::RedactionRules;

/// What happens to the members of an object.
type Keep = fn(RedactionRules, &str) -> bool;

/// The redacted form of a canonical event of type `kind`, canonical as well.
pub fn redact(event: &str, kind: &str, rules: RedactionRules) -> Vec<u8> {
    write_redacted(event, kind, rules, true)
}

/// What the signatures of an event cover and its reference hash is taken of: the redacted form without `signatures`.
/// (`unsigned` is not there: redaction takes it away.)
pub fn signed_form(event: &str, kind: &str, rules: RedactionRules) -> Vec<u8> {
    write_redacted(event, kind, rules, false)
}

/// The content a redacted event of type `kind` keeps.
pub fn redact_content(content: &str, kind: &str, rules: RedactionRules) -> Vec<u8> {
    let mut out = Vec::new();
    write_content(&mut out, content, kind, rules);
    out
}

fn write_redacted(event: &str, kind: &str, rules: RedactionRules, signatures: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(event.len());
    out.push(b'{');
    for member in json::members(event) {
        match member.raw_key {
            "content" => {
                write_member(&mut out, r#""content":"#);
                write_content(&mut out, member.value, kind, rules);
            }
            "signatures" if !signatures => {}
            key if keep_top_level(rules, key) => write_member(&mut out, &event[member.span]),
            _ => {}
        }
    }
    out.push(b'}');
    out
}

fn keep_top_level(rules: RedactionRules, key: &str) -> bool {
    match key {
        "auth_events" | "depth" | "event_id" | "hashes" | "origin_server_ts" | "prev_events" | "room_id" | "sender"
        | "signatures" | "state_key" | "type" => true,
        "membership" | "origin" | "prev_state" => rules.keep_origin_membership_prev_state,
        _ => false,
    }
}

fn write_content(out: &mut Vec<u8>, content: &str, kind: &str, rules: RedactionRules) {
    let keep: Keep = match kind {
        "m.room.member" => |rules, key| match key {
            "membership" => true,
            "join_authorised_via_users_server" => rules.keep_join_authorised_via_users_server,
            "third_party_invite" => rules.keep_third_party_invite_signed,
            _ => false,
        },
        "m.room.create" => |rules, key| key == "creator" || rules.keep_create_content,
        "m.room.join_rules" => |rules, key| match key {
            "join_rule" => true,
            "allow" => rules.keep_join_rules_allow,
            _ => false,
        },
        "m.room.power_levels" => |rules, key| match key {
            "ban" | "events" | "events_default" | "kick" | "redact" | "state_default" | "users" | "users_default" => {
                true
            }
            "invite" => rules.keep_power_levels_invite,
            _ => false,
        },
        "m.room.aliases" => |rules, key| key == "aliases" && rules.keep_aliases,
        "m.room.history_visibility" => |_, key| key == "history_visibility",
        "m.room.redaction" => |rules, key| key == "redacts" && rules.keep_redacts,
        _ => |_, _| false,
    };
    out.push(b'{');
    for member in json::members(content) {
        if !keep(rules, member.raw_key) {
            continue;
        }
        if kind == "m.room.member" && member.raw_key == "third_party_invite" {
            write_third_party_invite(out, member.value);
        } else {
            write_member(out, &content[member.span]);
        }
    }
    out.push(b'}');
}

/// Of a `third_party_invite`, only `signed` is kept; of one that is no object, nothing.
fn write_third_party_invite(out: &mut Vec<u8>, invite: &str) {
    if !json::is_object(invite) {
        return;
    }
    write_member(out, r#""third_party_invite":{"#);
    if let Some(signed) = json::members(invite).find(|member| member.raw_key == "signed") {
        write_member(out, &invite[signed.span]);
    }
    out.push(b'}');
}

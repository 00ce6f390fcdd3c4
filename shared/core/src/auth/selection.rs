//! Which events of the room's state an event has to name as allowing it.
//!
//! See <https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection>.

use super::AuthError;
use crate::{
    event::{EventBody, Membership, canonical::canonical_object, json},
    room_version::{Numbers, RoomVersionRules},
};

/// The type and state key of each state event that an event has to name in `auth_events`, as far as the room has it.
pub fn auth_types(
    rules: &RoomVersionRules,
    kind: &str,
    sender: &str,
    state_key: Option<&str>,
    content: &str,
) -> Vec<(&'static str, String)> {
    if kind == "m.room.create" {
        return Vec::new();
    }
    let mut types = vec![
        ("m.room.power_levels", String::new()),
        ("m.room.member", sender.to_owned()),
    ];
    if rules.auth.select_create {
        types.push(("m.room.create", String::new()));
    }
    if kind == "m.room.member" {
        // What a client sent need not be canonical yet; what is not even JSON selects nothing and is refused elsewhere.
        let content = canonical_object(content.as_bytes(), Numbers::Lenient).unwrap_or_default();
        add_member_types(&mut types, rules, state_key, &content);
    }
    types
}

fn add_member_types(
    types: &mut Vec<(&'static str, String)>,
    rules: &RoomVersionRules,
    state_key: Option<&str>,
    content: &str,
) {
    let mut add = |kind, state_key: String| {
        if !types.iter().any(|(other, key)| *other == kind && *key == state_key) {
            types.push((kind, state_key));
        }
    };
    if let Some(target) = state_key {
        add("m.room.member", target.to_owned());
    }
    let text = |object, key| json::get(object, key).and_then(json::string);
    let membership = text(content, "membership").and_then(|membership| Membership::parse(&membership));
    if matches!(
        membership,
        Some(Membership::Join | Membership::Invite | Membership::Knock)
    ) {
        add("m.room.join_rules", String::new());
    }
    if membership == Some(Membership::Invite)
        && let Some(invite) = json::get(content, "third_party_invite")
        && let Some(token) = json::get(invite, "signed").and_then(|signed| text(signed, "token"))
    {
        add("m.room.third_party_invite", token.into_owned());
    }
    if membership == Some(Membership::Join)
        && rules.auth.restricted
        && let Some(user) = text(content, "join_authorised_via_users_server")
    {
        add("m.room.member", user.into_owned());
    }
}

/// One of the events that an event names in `auth_events`.
#[derive(Clone, Copy, Debug)]
pub struct AuthEvent<'a> {
    /// The event.
    pub body: &'a EventBody,
    /// Whether it was rejected.
    pub is_rejected: bool,
}

/// Whether the events named in `auth_events` are those an event may name. What they allow is for
/// [`check`](super::check) to say.
///
/// `create` is the room's create event. It matters where the room's id implies it, instead of `auth_events`.
pub fn check_auth_events(
    rules: &RoomVersionRules,
    event: &EventBody,
    auth_events: &[AuthEvent<'_>],
    create: Option<AuthEvent<'_>>,
) -> Result<(), AuthError> {
    if event.kind() == "m.room.create" {
        return Ok(());
    }
    if !rules.auth.select_create {
        let create = create.ok_or(AuthError::NoRoom)?;
        let is_of_this_room = create.body.is_state("m.room.create", "") && create.body.room_id() == event.room_id();
        if create.is_rejected || !is_of_this_room {
            return Err(AuthError::NoRoom);
        }
    }
    let expected = auth_types(
        rules,
        event.kind(),
        event.sender().as_str(),
        event.state_key(),
        event.content(),
    );
    let mut has_create = false;
    for (index, AuthEvent { body, is_rejected }) in auth_events.iter().enumerate() {
        let is_same =
            |other: &AuthEvent<'_>| other.body.kind() == body.kind() && other.body.state_key() == body.state_key();
        if auth_events[..index].iter().any(is_same) {
            return Err(AuthError::DuplicateAuthEvent);
        }
        if !expected.iter().any(|(kind, key)| body.is_state(kind, key)) {
            return Err(AuthError::UnexpectedAuthEvent);
        }
        if *is_rejected {
            return Err(AuthError::RejectedAuthEvent);
        }
        if body.room_id() != event.room_id() {
            return Err(AuthError::AuthEventOfAnotherRoom);
        }
        has_create |= body.kind() == "m.room.create";
    }
    if rules.auth.select_create && !has_create {
        return Err(AuthError::NoCreateAuthEvent);
    }
    Ok(())
}

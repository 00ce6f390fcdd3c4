//! Authorization: whether the rules of a room version allow an event, given some state of the room.
//!
//! The same rules are applied against an event's auth events, the state before it and the current state; which of them
//! `state` answers from is the caller's. Signatures, `join_authorised_via_users_server`'s included, have been verified
//! before there is an [`EventBody`]. See <https://spec.matrix.org/v1.19/server-server-api/#authorization-rules> and each
//! room version's page.

use std::sync::Arc;

use crate::{
    event::{EventBody, Membership, json},
    room_version::RoomVersionRules,
};

mod create;
mod error;
mod member;
mod power;
mod power_event;
mod selection;
pub mod third_party;

pub use self::{
    create::Creators,
    error::AuthError,
    power::{Level, PowerLevels, UserLevel},
    selection::{AuthEvent, auth_types, check_auth_events},
};

/// Finds the state event of a type and state key.
pub type State<'a> = dyn Fn(&str, &str) -> Option<Arc<EventBody>> + 'a;

/// Whether `event` is allowed where the room's state is `state`.
///
/// `create` is the room's create event; for a create event itself it is not looked at.
pub fn check(
    rules: &RoomVersionRules,
    event: &EventBody,
    create: Option<&EventBody>,
    state: &State<'_>,
) -> Result<(), AuthError> {
    if event.kind() == "m.room.create" {
        return create::check_create(rules, event);
    }
    let create = create
        .filter(|create| create.room_id() == event.room_id())
        .ok_or(AuthError::NoRoom)?;
    let is_local_only = json::get(create.content(), "m.federate") == Some("false");
    if is_local_only && create.sender().server_name() != event.sender().server_name() {
        return Err(AuthError::NotFederated);
    }
    if rules.auth.special_case_aliases && event.kind() == "m.room.aliases" {
        return check_aliases(event);
    }
    let check = Check {
        rules,
        event,
        create,
        state,
    };
    if event.kind() == "m.room.member" {
        return check.member();
    }
    if check.membership(event.sender().as_str()) != Some(Membership::Join) {
        return Err(AuthError::NotJoined);
    }
    check.by_power()
}

/// Whether an accepted redaction takes effect on its target. From room version 3 on that is not a question of
/// authorization: the redaction stands in the room either way, but whoever has no right to redact changes nothing.
///
/// `power_levels` is the event in the state before the redaction.
pub fn redaction_allowed(
    rules: &RoomVersionRules,
    redaction: &EventBody,
    target: &EventBody,
    create: &EventBody,
    power_levels: Option<&EventBody>,
) -> Result<bool, AuthError> {
    if redaction.redacts() != Some(target.event_id()) || redaction.room_id() != target.room_id() {
        return Ok(false);
    }
    if rules.auth.special_case_redaction {
        return Ok(true);
    }
    if redaction.sender().server_name() == target.sender().server_name() {
        return Ok(true);
    }
    let levels = PowerLevels::read(rules, create, power_levels);
    Ok(levels.user_level(redaction.sender().as_str())? >= levels.level(Level::Redact)?)
}

/// An event and what it is checked against.
struct Check<'a> {
    rules: &'a RoomVersionRules,
    event: &'a EventBody,
    create: &'a EventBody,
    state: &'a State<'a>,
}

impl Check<'_> {
    /// A user's membership; none for one who never had any, which the rules take for `leave`.
    fn membership(&self, user: &str) -> Option<Membership> {
        (self.state)("m.room.member", user)?.membership()
    }

    /// The rules for everything that only joined users may do: by power.
    fn by_power(&self) -> Result<(), AuthError> {
        let (event, sender) = (self.event, self.event.sender().as_str());
        let current = (self.state)("m.room.power_levels", "");
        let levels = PowerLevels::read(self.rules, self.create, current.as_deref());
        let sender_level = levels.user_level(sender)?;

        if event.kind() == "m.room.third_party_invite" {
            return allow(sender_level >= levels.level(Level::Invite)?, AuthError::NoPowerToInvite);
        }
        if sender_level < levels.event_level(event.kind(), event.state_key().is_some())? {
            return Err(AuthError::NoPowerToSend(event.kind().into()));
        }
        if event
            .state_key()
            .is_some_and(|key| key.starts_with('@') && key != sender)
        {
            return Err(AuthError::StateOfAnotherUser);
        }
        match event.kind() {
            "m.room.power_levels" => power_event::check(self.rules, self.create, event, current.as_deref()),
            "m.room.redaction" if self.rules.auth.special_case_redaction => {
                let is_own_server = event.redacts().is_some_and(|redacts| {
                    redacts.server_name().is_some() && redacts.server_name() == event.event_id().server_name()
                });
                let has_power = sender_level >= levels.level(Level::Redact)?;
                allow(has_power || is_own_server, AuthError::NoPowerToRedact)
            }
            _ => Ok(()),
        }
    }
}

/// `m.room.aliases` lists the aliases of one server, and only its users may.
fn check_aliases(event: &EventBody) -> Result<(), AuthError> {
    let is_own = event.state_key() == Some(event.sender().server_name().as_str());
    allow(is_own, AuthError::AliasesOfAnotherServer)
}

fn allow(allowed: bool, otherwise: AuthError) -> Result<(), AuthError> {
    if allowed { Ok(()) } else { Err(otherwise) }
}

#[cfg(test)]
mod tests;

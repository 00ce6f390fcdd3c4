//! The rules for `m.room.member`: who may come, go, ask, bring in and throw out whom.

use ruma::UserId;

use super::{AuthError, Check, Creators, Level, PowerLevels, allow, third_party};
use crate::event::{EventBody, Membership, json};

/// Who may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JoinRule {
    Public,
    Invite,
    Knock,
    Restricted,
    KnockRestricted,
    /// `private`, or a rule of another version: nobody.
    Other,
}

impl Check<'_> {
    pub(super) fn member(&self) -> Result<(), AuthError> {
        let target = self.event.state_key().ok_or(AuthError::InvalidMembership)?;
        if <&UserId>::try_from(target).is_err() {
            return Err(AuthError::InvalidMembership);
        }
        match self.event.membership().ok_or(AuthError::InvalidMembership)? {
            Membership::Join => self.join(target),
            Membership::Invite => self.invite(target),
            Membership::Leave => self.leave(target),
            Membership::Ban => self.ban(target),
            Membership::Knock if self.rules.auth.knock => self.knock(target),
            Membership::Knock => Err(AuthError::InvalidMembership),
        }
    }

    fn join(&self, target: &str) -> Result<(), AuthError> {
        let creators = Creators::read(self.rules, self.create);
        let is_first = self.event.prev_events().len() == 1 && self.event.prev_events()[0] == self.create.event_id();
        if is_first && creators.first().is_some_and(|creator| creator == target) {
            return Ok(());
        }
        if self.event.sender() != target {
            return Err(AuthError::ForAnotherUser);
        }
        let membership = self.membership(target);
        if membership == Some(Membership::Ban) {
            return Err(AuthError::Banned);
        }
        let is_invited = matches!(membership, Some(Membership::Invite | Membership::Join));
        match self.join_rule() {
            JoinRule::Public => Ok(()),
            JoinRule::Invite | JoinRule::Knock => allow(is_invited, AuthError::NotInvited),
            JoinRule::Restricted | JoinRule::KnockRestricted if is_invited => Ok(()),
            JoinRule::Restricted | JoinRule::KnockRestricted => self.restricted_join(),
            JoinRule::Other => Err(AuthError::NotInvited),
        }
    }

    /// A join without invite, which a member of the room who may invite has to vouch for.
    fn restricted_join(&self) -> Result<(), AuthError> {
        let authoriser = self
            .event
            .content_string("join_authorised_via_users_server")
            .filter(|user| self.membership(user) == Some(Membership::Join))
            .ok_or(AuthError::NotAuthorised)?;
        let current = self.power_levels_event();
        let levels = PowerLevels::read(self.rules, self.create, current.as_deref());
        let may_invite = levels.user_level(&authoriser)? >= levels.level(Level::Invite)?;
        allow(may_invite, AuthError::NotAuthorised)
    }

    fn invite(&self, target: &str) -> Result<(), AuthError> {
        if let Some(invite) = json::get(self.event.content(), "third_party_invite") {
            if self.membership(target) == Some(Membership::Ban) {
                return Err(AuthError::Banned);
            }
            return third_party::check_invite(self.event, target, invite, self.state);
        }
        if self.membership(self.event.sender().as_str()) != Some(Membership::Join) {
            return Err(AuthError::NotJoined);
        }
        match self.membership(target) {
            Some(Membership::Join) => return Err(AuthError::AlreadyJoined),
            Some(Membership::Ban) => return Err(AuthError::Banned),
            Some(Membership::Invite | Membership::Knock | Membership::Leave) | None => {}
        }
        let current = self.power_levels_event();
        let levels = PowerLevels::read(self.rules, self.create, current.as_deref());
        let may_invite = levels.user_level(self.event.sender().as_str())? >= levels.level(Level::Invite)?;
        allow(may_invite, AuthError::NoPowerToInvite)
    }

    fn leave(&self, target: &str) -> Result<(), AuthError> {
        let sender = self.event.sender().as_str();
        let sender_membership = self.membership(sender);
        if sender == target {
            let can_leave = match sender_membership {
                Some(Membership::Invite | Membership::Join) => true,
                Some(Membership::Knock) => self.rules.auth.knock,
                Some(Membership::Leave | Membership::Ban) | None => false,
            };
            return allow(can_leave, AuthError::CannotLeave);
        }
        if sender_membership != Some(Membership::Join) {
            return Err(AuthError::NotJoined);
        }
        let current = self.power_levels_event();
        let levels = PowerLevels::read(self.rules, self.create, current.as_deref());
        let sender_level = levels.user_level(sender)?;
        let is_banned = self.membership(target) == Some(Membership::Ban);
        if is_banned && sender_level < levels.level(Level::Ban)? {
            return Err(AuthError::NoPowerToUnban);
        }
        let may_kick = sender_level >= levels.level(Level::Kick)? && levels.user_level(target)? < sender_level;
        allow(
            may_kick,
            if is_banned {
                AuthError::NoPowerToUnban
            } else {
                AuthError::NoPowerToKick
            },
        )
    }

    fn ban(&self, target: &str) -> Result<(), AuthError> {
        let sender = self.event.sender().as_str();
        if self.membership(sender) != Some(Membership::Join) {
            return Err(AuthError::NotJoined);
        }
        let current = self.power_levels_event();
        let levels = PowerLevels::read(self.rules, self.create, current.as_deref());
        let sender_level = levels.user_level(sender)?;
        let may_ban = sender_level >= levels.level(Level::Ban)? && levels.user_level(target)? < sender_level;
        allow(may_ban, AuthError::NoPowerToBan)
    }

    fn knock(&self, target: &str) -> Result<(), AuthError> {
        if !matches!(self.join_rule(), JoinRule::Knock | JoinRule::KnockRestricted) {
            return Err(AuthError::KnockingNotAllowed);
        }
        if self.event.sender() != target {
            return Err(AuthError::ForAnotherUser);
        }
        let is_outside = match self.membership(target) {
            Some(Membership::Ban | Membership::Invite | Membership::Join) => false,
            Some(Membership::Knock | Membership::Leave) | None => true,
        };
        allow(is_outside, AuthError::CannotKnock)
    }

    fn power_levels_event(&self) -> Option<std::sync::Arc<EventBody>> {
        (self.state)("m.room.power_levels", "")
    }

    /// The room's join rule, as far as its version knows it. A room without any has nobody join.
    fn join_rule(&self) -> JoinRule {
        let event = (self.state)("m.room.join_rules", "");
        let rule = event.and_then(|event| event.content_string("join_rule"));
        match rule.as_deref() {
            Some("public") => JoinRule::Public,
            Some("invite") => JoinRule::Invite,
            Some("knock") if self.rules.auth.knock => JoinRule::Knock,
            Some("restricted") if self.rules.auth.restricted => JoinRule::Restricted,
            Some("knock_restricted") if self.rules.auth.knock_restricted => JoinRule::KnockRestricted,
            Some(_) | None => JoinRule::Other,
        }
    }
}

//! Whom an event notifies: one number on the event for everybody, and a row for each member it mentions. Nothing here grows with the room.

use plexus_core::{auth::PowerLevels, event::EventBody, ids::UserNid, push_rules::Effect, row::Membership};
use plexus_storage::highlights;
use ruma::UserId;

use super::head::PendingHead;
use crate::{change_set::ChangeSet, error::CommandError, leader::Leader};

/// What an event that is about to be appended does to the members.
#[derive(Debug, Default)]
pub(super) struct Notice {
    /// Whether it notifies everybody.
    pub(super) notifies: bool,
    highlights: bool,
    mentions: Vec<UserNid>,
}

impl Notice {
    /// Of an event on the head, before the head moves past it.
    pub(super) async fn of(leader: &Leader, head: &mut PendingHead, body: &EventBody) -> Result<Self, CommandError> {
        let (kind, state_key, content) = (body.kind(), body.state_key(), body.content());
        let mut wants_room = false;
        let mut effect = Effect::of(kind, state_key, content, || {
            wants_room = true;
            false
        });
        // Power levels are looked up only for an event that wants to notify everybody.
        if wants_room && may_notify_room(leader, head, body).await? {
            effect = Effect::of(kind, state_key, content, || true);
        }
        let mut mentions = Vec::new();
        for user in &effect.mentions {
            if user != body.sender().as_str()
                && let Some(user) = local_member(leader, head, user).await?
            {
                mentions.push(user);
            }
        }
        Ok(Self {
            notifies: effect.notifies,
            highlights: effect.highlights,
            mentions,
        })
    }

    /// Writes the highlights of the event whose row is pushed next.
    pub(super) fn persist(&self, head: &PendingHead, change: &mut ChangeSet) {
        let everybody = self.highlights.then_some(None);
        let mentioned = self.mentions.iter().map(|user| Some(*user));
        for user in everybody.into_iter().chain(mentioned) {
            let notifies = user.is_some() && !self.notifies;
            let statement = highlights::insert(head.info.nid, user, change.next_sequence(), notifies);
            change.statements.push(statement);
        }
    }
}

async fn may_notify_room(leader: &Leader, head: &mut PendingHead, body: &EventBody) -> Result<bool, CommandError> {
    let Some(create) = head.state_event(leader, "m.room.create", "").await? else {
        return Ok(false);
    };
    let event = head.state_event(leader, "m.room.power_levels", "").await?;
    let levels = PowerLevels::read(head.info.version.rules(), &create, event.as_deref());
    let needed = levels.notification_level("room");
    let (Ok(level), Ok(needed)) = (levels.user_level(body.sender().as_str()), needed) else {
        return Ok(false);
    };
    Ok(level >= needed)
}

/// The number of a user of this server who is in the room.
async fn local_member(leader: &Leader, head: &mut PendingHead, user: &str) -> Result<Option<UserNid>, CommandError> {
    let Ok(user_id) = <&UserId>::try_from(user) else {
        return Ok(None);
    };
    if user_id.server_name() != leader.server_name {
        return Ok(None);
    }
    let member = head.state_event(leader, "m.room.member", user).await?;
    if member.and_then(|member| member.membership()) != Some(Membership::Join) {
        return Ok(None);
    }
    Ok(leader.store.user_nid(user_id).await?)
}

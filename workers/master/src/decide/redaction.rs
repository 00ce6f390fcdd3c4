//! What a redaction does to the event it names.

use plexus_core::{
    auth::{Level, PowerLevels, redaction_allowed},
    event::EventBody,
    ids::EventNid,
    row::Row,
};
use plexus_storage::{events, pending_redactions, relations};
use ruma::UserId;

use super::head::{Growth, Known, PendingHead};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, forbidden, invalid_param},
    leader::Leader,
};

/// An event that is about to lose its content.
#[derive(Debug)]
pub(super) struct Redaction {
    target: EventNid,
    redacted: EventBody,
    /// Whether it relates to another event, which it will do no more.
    is_related: bool,
}

/// What `redaction` redacts; nothing if it is no redaction, or of an event that is redacted already.
pub(super) async fn effect(
    leader: &Leader,
    head: &mut PendingHead,
    redaction: &EventBody,
) -> Result<Option<Redaction>, CommandError> {
    if redaction.kind() != "m.room.redaction" {
        return Ok(None);
    }
    // One answer for no event and an event of another room: which it is nobody learns here.
    let unknown = || invalid_param("There is no such event in this room");
    let target = redaction.redacts().ok_or_else(unknown)?;
    let nid = leader
        .store
        .event_nid(head.info.nid, target)
        .await?
        .ok_or_else(unknown)?;
    let event = leader.store.event(nid).await?.ok_or_else(unknown)?;
    let rules = head.info.version.rules();
    if event.body.sender() != redaction.sender() && !has_redact_power(leader, head, redaction.sender()).await? {
        return Err(forbidden("You may not redact this event"));
    }
    if event.redacted_by.is_some() {
        return Ok(None);
    }
    Ok(Some(Redaction {
        target: nid,
        redacted: event.body.redacted(rules),
        is_related: event.body.relation().is_some(),
    }))
}

/// Does what a new event of another server asks for as a redaction, or what redactions ask for that came before it.
pub(super) async fn take_effect(
    leader: &Leader,
    head: &mut PendingHead,
    nid: EventNid,
    change: &mut ChangeSet,
) -> Result<(), CommandError> {
    let event = head.event(leader, nid).await?;
    if event.body.kind() == "m.room.redaction" {
        return apply_redaction(leader, head, &event, change).await;
    }
    let redactions = pending_redactions::of(leader.store.db(), head.info.nid, event.body.event_id()).await?;
    for redaction in &redactions {
        let redaction = head.event(leader, *redaction).await?;
        if let Some(effect) = remote_effect(leader, head, &redaction, &event).await? {
            effect.persist(head, redaction.nid, change);
            break;
        }
    }
    if !redactions.is_empty() {
        let statement = pending_redactions::delete(head.info.nid, event.body.event_id());
        change.statements.push(statement);
    }
    Ok(())
}

async fn apply_redaction(
    leader: &Leader,
    head: &mut PendingHead,
    redaction: &Known,
    change: &mut ChangeSet,
) -> Result<(), CommandError> {
    let Some(target) = redaction.body.redacts() else {
        return Ok(());
    };
    let Some(event) = head.find_event(leader, target).await? else {
        let statement = pending_redactions::insert(head.info.nid, target, redaction.nid);
        change.statements.push(statement);
        return Ok(());
    };
    if let Some(effect) = remote_effect(leader, head, redaction, &event).await? {
        effect.persist(head, redaction.nid, change);
    }
    Ok(())
}

/// What a redaction of another server does to an event, if the rules let it: by the state after the redaction, which changes nothing of it.
async fn remote_effect(
    leader: &Leader,
    head: &mut PendingHead,
    redaction: &Known,
    event: &Known,
) -> Result<Option<Redaction>, CommandError> {
    let Some(create) = head.create.clone() else {
        return Ok(None);
    };
    let rules = head.info.version.rules();
    let at = redaction.state_after;
    let levels = head
        .state_event_at(leader, at, &Growth::none(), ("m.room.power_levels", ""))
        .await?;
    let levels = levels.as_ref().map(|levels| &*levels.body);
    let is_allowed = redaction_allowed(rules, &redaction.body, &event.body, &create.body, levels);
    Ok(is_allowed.unwrap_or(false).then(|| Redaction {
        target: event.nid,
        redacted: event.body.redacted(rules),
        is_related: event.body.relation().is_some(),
    }))
}

/// Whether a user may redact what others have sent. The authorization rules ask for less: to them all users of a server are one.
async fn has_redact_power(leader: &Leader, head: &mut PendingHead, user: &UserId) -> Result<bool, CommandError> {
    let Some(create) = head.state_event(leader, "m.room.create", "").await? else {
        return Ok(false);
    };
    let event = head.state_event(leader, "m.room.power_levels", "").await?;
    let levels = PowerLevels::read(head.info.version.rules(), &create, event.as_deref());
    Ok(levels.user_level(user.as_str())? >= levels.level(Level::Redact)?)
}

impl Redaction {
    /// Writes it behind the redaction itself.
    pub(super) fn persist(self, head: &PendingHead, redacted_by: EventNid, change: &mut ChangeSet) {
        change
            .statements
            .push(events::redact(self.target, redacted_by, &self.redacted));
        if self.is_related {
            change.statements.push(relations::delete(self.target));
        }
        change.rows.push(Row::Redaction {
            room: head.info.nid,
            event: self.target,
            redacted_by,
        });
    }
}

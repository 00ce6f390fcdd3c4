//! Sending an event: the path every event of this server takes.

use std::sync::Arc;

use plexus_core::{
    auth,
    event::{EventBody, EventError, Legacy, NewEvent, canonical::canonicalize},
    ids::NodeId,
    row::Transaction,
};
use plexus_proto::SendEvent;
use ruma::{EventId, OwnedEventId, UserId};
use serde_json::value::RawValue;

use super::{
    Decision, guests,
    head::{Growth, Known, PendingHead},
    persist::{self, Place},
    redaction, relation,
};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, bad_json, too_large},
    leader::Leader,
};

/// What is to be said in a room.
#[derive(Clone, Debug)]
pub(super) struct Draft<'a> {
    pub(super) sender: &'a UserId,
    pub(super) kind: &'a str,
    pub(super) state_key: Option<&'a str>,
    pub(super) content: &'a RawValue,
    pub(super) redacts: Option<&'a EventId>,
    pub(super) transaction: Option<Arc<Transaction>>,
}

/// A client sends an event.
pub(super) async fn send_event(
    leader: &Leader,
    head: &mut PendingHead,
    command: &SendEvent,
) -> Result<Decision, CommandError> {
    let content = canonical_content(head, &command.content)?;
    let redacts = command
        .redacts
        .as_deref()
        .map(EventId::parse)
        .transpose()
        .map_err(|_| bad_json("redacts is not an event id"))?;
    let transaction = command.transaction.as_ref().map(|transaction| {
        Arc::new(Transaction {
            device: transaction.device_id.as_str().into(),
            id: transaction.id.clone(),
        })
    });
    let draft = Draft {
        sender: user_id(&command.sender)?,
        kind: &command.kind,
        state_key: command.state_key.as_deref(),
        content: &content,
        redacts: redacts.as_deref(),
        transaction,
    };
    if let Some(same) = unchanged_state(leader, head, &draft).await? {
        return Ok(Decision::unchanged(same.event_id()));
    }
    relation::check(leader, head, &draft).await?;
    let lets_guests_go = guests::are_let_go(leader, head, &draft).await?;
    let mut decision = append(leader, head, draft, leader.clock.now_ms()).await?;
    if lets_guests_go {
        guests::ask_for_removal(leader, head, &mut decision.change);
    }
    Ok(decision)
}

/// Content in the one form in which its members can be told apart.
fn canonical_content(head: &PendingHead, content: &[u8]) -> Result<Box<RawValue>, CommandError> {
    let mut canonical = Vec::with_capacity(content.len());
    canonicalize(content, head.info.version.rules().numbers, &mut canonical)
        .map_err(|error| bad_json(error.to_string()))?;
    let canonical = String::from_utf8(canonical).map_err(|_| bad_json("content is not UTF-8"))?;
    RawValue::from_string(canonical).map_err(|_| bad_json("content is not JSON"))
}

/// An event that is made and allowed, and has not moved the head.
struct Sealed {
    body: Arc<EventBody>,
    /// The state before it.
    before: NodeId,
    /// The events that allow it.
    auth: Vec<Known>,
    growth: Growth,
}

/// Seals an event on the head, checks that the rules allow it and says what to write. On an error the head has not moved.
pub(super) async fn append(
    leader: &Leader,
    head: &mut PendingHead,
    draft: Draft<'_>,
    now_ms: i64,
) -> Result<Decision, CommandError> {
    let Sealed {
        body,
        before,
        auth,
        growth,
    } = seal_allowed(leader, head, &draft, now_ms).await?;
    let redaction = redaction::effect(leader, head, &body).await?;
    let place = Place {
        state_before: before,
        auth_parents: auth.iter().map(|event| event.nid).collect(),
        transaction: draft.transaction.clone(),
        outgoing: true,
        ..Place::accepted(Arc::clone(&body))
    };
    let mut change = ChangeSet::default();
    let nid = persist::persist(leader, head, place, growth, &mut change).await?;
    if let Some(redaction) = redaction {
        redaction.persist(head, nid, &mut change);
    }
    Ok(Decision::event(change, body.event_id()))
}

/// Makes the event that [`append`] would make, and leaves everything as it is.
pub(super) async fn prepare(
    leader: &Leader,
    head: &mut PendingHead,
    draft: &Draft<'_>,
) -> Result<Decision, CommandError> {
    let sealed = seal_allowed(leader, head, draft, leader.clock.now_ms()).await?;
    let mut decision = Decision::unchanged(sealed.body.event_id());
    decision.result.json = Some(sealed.body.json().to_owned().into());
    Ok(decision)
}

async fn seal_allowed(
    leader: &Leader,
    head: &mut PendingHead,
    draft: &Draft<'_>,
    now_ms: i64,
) -> Result<Sealed, CommandError> {
    let mut growth = head.growth(leader);
    let branches = head.choose_branches();
    let before = if branches.len() == head.tips.len() {
        head.root
    } else {
        head.state_of(leader, &branches, &mut growth).await?
    };
    let rules = head.info.version.rules();
    let (sender, content) = (draft.sender.as_str(), draft.content.get());
    let types = auth::auth_types(rules, draft.kind, sender, draft.state_key, content);
    let auth = head.state_events_at(leader, &types, (before, &growth)).await?;
    let body = seal(leader, head, draft, (&branches, &auth), now_ms)?;
    let create = head.create.as_ref().map(|create| &*create.body);
    auth::check(rules, &body, create, &|kind, key| find(&auth, kind, key))?;
    Ok(Sealed {
        body: Arc::new(body),
        before,
        auth,
        growth,
    })
}

/// The state event of a type and key among some events.
pub(super) fn find(events: &[Known], kind: &str, key: &str) -> Option<Arc<EventBody>> {
    let event = events.iter().find(|event| event.body.is_state(kind, key))?;
    Some(Arc::clone(&event.body))
}

/// Makes the event.
fn seal(
    leader: &Leader,
    head: &PendingHead,
    draft: &Draft<'_>,
    (branches, auth): (&[Known], &[Known]),
    now_ms: i64,
) -> Result<EventBody, CommandError> {
    let rules = head.info.version.rules();
    let ids = |events: &[Known]| -> Vec<OwnedEventId> {
        events.iter().map(|event| event.body.event_id().to_owned()).collect()
    };
    let depth = branches
        .iter()
        .map(|branch| branch.body.depth())
        .max()
        .unwrap_or_default();
    let hashes = |id: &EventId| {
        let event = branches.iter().chain(auth).find(|event| event.body.event_id() == id)?;
        Some(event.body.reference_hash(rules))
    };
    let localpart = leader.new_event_localpart();
    let new_event = NewEvent {
        room_id: head.room_id_for(draft.kind),
        sender: draft.sender,
        kind: draft.kind,
        state_key: draft.state_key,
        content: draft.content,
        prev_events: &ids(branches),
        auth_events: &ids(auth),
        depth: depth.saturating_add(1),
        origin_server_ts: u64::try_from(now_ms).unwrap_or_default(),
        redacts: draft.redacts,
        legacy: Some(Legacy {
            localpart: &localpart,
            hashes: &hashes,
        }),
    };
    new_event
        .seal(rules, &leader.signing_key, &leader.server_name)
        .map_err(|error| sealing_error(&error))
}

pub(super) fn sealing_error(error: &EventError) -> CommandError {
    match error {
        EventError::TooLarge { .. } | EventError::FieldTooLong { .. } => too_large(error.to_string()),
        EventError::Json(_) | EventError::Invalid("content" | "type" | "state_key") => bad_json(error.to_string()),
        EventError::Missing(_)
        | EventError::Invalid(_)
        | EventError::TooManyReferences { .. }
        | EventError::Signature(_) => CommandError::Event(error.to_string()),
    }
}

/// The current state event, if this one would say the same again: then it is not sent.
async fn unchanged_state(
    leader: &Leader,
    head: &mut PendingHead,
    draft: &Draft<'_>,
) -> Result<Option<Arc<EventBody>>, CommandError> {
    let Some(key) = draft.state_key else { return Ok(None) };
    let Some(current) = head.state_event(leader, draft.kind, key).await? else {
        return Ok(None);
    };
    let same = current.sender() == draft.sender && same_json(current.content(), draft.content.get());
    Ok(same.then_some(current))
}

/// Whether two JSON texts mean the same.
pub(super) fn same_json(left: &str, right: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    left == right || parse(left).is_some_and(|value| Some(value) == parse(right))
}

pub(super) fn user_id(text: &str) -> Result<&UserId, CommandError> {
    text.try_into().map_err(|_| CommandError::Malformed("user id"))
}

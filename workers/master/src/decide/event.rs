//! Sending an event: the path every event of this server takes.

use std::{collections::HashMap, sync::Arc};

use plexus_core::{
    auth,
    event::{EventBody, EventError, Legacy, NewEvent, canonical::canonicalize},
    ids::{EventNid, NodeId, StateKeyNid},
    row::{EventStatus, Membership, Row, Transaction},
    state::Inserted,
};
use plexus_proto::SendEvent;
use plexus_storage::{
    events::{self, NewEventRow},
    memberships, state_nodes,
};
use ruma::{EventId, OwnedEventId, UserId};
use serde_json::value::RawValue;

use super::{Decision, guests, head::PendingHead, notify::Notice, redaction, relation};
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

/// Seals an event on the head, checks that the rules allow it and says what to write. On an error the head has not moved.
pub(super) async fn append(
    leader: &Leader,
    head: &mut PendingHead,
    draft: Draft<'_>,
    now_ms: i64,
) -> Result<Decision, CommandError> {
    let (body, auth_state) = seal(leader, head, &draft, now_ms).await?;
    let state = |kind: &str, key: &str| Some(Arc::clone(&auth_state.get(&(kind.to_owned(), key.to_owned()))?.1));
    let create = state(CREATE, "");
    auth::check(head.info.version.rules(), &body, create.as_deref(), &state)?;
    let named = auth_state
        .values()
        .filter(|(_, event)| body.auth_events().iter().any(|id| id == event.event_id()));
    let auth_parents = draft.state_key.map(|_| named.map(|(nid, _)| *nid).collect());
    let body = Arc::new(body);
    let redaction = redaction::effect(leader, head, &body).await?;
    let mut change = ChangeSet::default();
    persist(leader, head, &draft, (&body, auth_parents), &mut change).await?;
    if let Some(redaction) = redaction {
        redaction.persist(head, &mut change);
    }
    Ok(Decision::event(change, body.event_id()))
}

/// A place in the state: type and state key.
type StateKey = (String, String);

const CREATE: &str = "m.room.create";

/// Makes the event; returns with it the state that authorizes it.
async fn seal(
    leader: &Leader,
    head: &mut PendingHead,
    draft: &Draft<'_>,
    now_ms: i64,
) -> Result<(EventBody, HashMap<StateKey, (EventNid, Arc<EventBody>)>), CommandError> {
    let rules = head.info.version.rules();
    let mut state = HashMap::new();
    let mut auth_events = Vec::new();
    for (kind, key) in auth::auth_types(
        rules,
        draft.kind,
        draft.sender.as_str(),
        draft.state_key,
        draft.content.get(),
    ) {
        if let Some(entry) = head.state_entry(leader, kind, &key).await? {
            auth_events.push(entry.1.event_id().to_owned());
            state.insert((kind.to_owned(), key), entry);
        }
    }
    if let Some(create) = head.state_entry(leader, CREATE, "").await? {
        state.insert((CREATE.to_owned(), String::new()), create);
    }
    let prev_events: Vec<OwnedEventId> = head.tips.iter().map(|tip| tip.body.event_id().to_owned()).collect();
    let hashes = |id: &EventId| {
        let tips = head.tips.iter().map(|tip| &tip.body);
        let event = tips
            .chain(state.values().map(|(_, event)| event))
            .find(|event| event.event_id() == id)?;
        Some(event.reference_hash(rules))
    };
    let localpart = leader.new_event_localpart();
    let new_event = NewEvent {
        room_id: head.room_id_for(draft.kind),
        sender: draft.sender,
        kind: draft.kind,
        state_key: draft.state_key,
        content: draft.content,
        prev_events: &prev_events,
        auth_events: &auth_events,
        depth: head.depth.saturating_add(1),
        origin_server_ts: u64::try_from(now_ms).unwrap_or_default(),
        redacts: draft.redacts,
        legacy: Some(Legacy {
            localpart: &localpart,
            hashes: &hashes,
        }),
    };
    let body = new_event
        .seal(rules, &leader.signing_key, &leader.server_name)
        .map_err(|error| sealing_error(&error))?;
    Ok((body, state))
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

/// Writes the event and what follows from it, and moves the head past it.
async fn persist(
    leader: &Leader,
    head: &mut PendingHead,
    draft: &Draft<'_>,
    (body, auth_parents): (&Arc<EventBody>, Option<Arc<[EventNid]>>),
    change: &mut ChangeSet,
) -> Result<(), CommandError> {
    let notice = Notice::of(leader, head, body).await?;
    let nid = leader.interner.new_event();
    let sender = leader.interner.user(draft.sender).await?.with(&mut change.statements);
    let state_before = head.root;
    let was = match member_of(body) {
        None => None,
        Some((target, _)) => {
            let member = head.state_event(leader, "m.room.member", target.as_str()).await?;
            member.and_then(|member| member.membership())
        }
    };
    let state = match draft.state_key {
        None => None,
        Some(key) => Some(write_state(leader, head, nid, (draft.kind, key), change).await?),
    };
    let membership = match member_of(body) {
        None => None,
        Some((target, membership)) => {
            let target = leader.interner.user(target).await?.with(&mut change.statements);
            change.statements.push(memberships::insert(
                target,
                head.info.nid,
                change.next_sequence(),
                membership,
                nid,
            ));
            Some((target, membership))
        }
    };
    let state_key = state.as_ref().map(|(key, ..)| *key);
    head.advance(nid, body, state.map(|(_, inserted, next)| (inserted, next)));
    head.notifying += i64::from(notice.notifies);
    notice.persist(head, change);
    if let Some((_, membership)) = membership {
        head.count(was, membership);
    }
    let row = NewEventRow {
        nid,
        room: head.info.nid,
        version: head.info.version,
        room_order: Some(head.room_order),
        sender,
        state_key,
        status: EventStatus::Accepted,
        state_before,
        state_after: head.root,
        room_root: head.root,
        auth_parents,
        rejected_for: None,
        notifying: head.notifying,
        transaction: draft.transaction.clone(),
        body: Arc::clone(body),
    };
    change.statements.push(events::insert(&row, change.next_sequence()));
    relation::persist(head, nid, sender, body, change);
    change.rows.extend(row.log_row(membership).map(Row::Event));
    Ok(())
}

async fn write_state(
    leader: &Leader,
    head: &mut PendingHead,
    event: EventNid,
    (kind, key): (&str, &str),
    change: &mut ChangeSet,
) -> Result<(StateKeyNid, Inserted, NodeId), CommandError> {
    let key = leader.interner.state_key(kind, key).await?.with(&mut change.statements);
    let (inserted, next) = head.insert_state(leader, key, event).await?;
    for (id, node) in &inserted.new_nodes {
        change.statements.push(state_nodes::insert(head.info.nid, *id, node));
    }
    Ok((key, inserted, next))
}

/// The user and membership of a member event.
fn member_of(body: &EventBody) -> Option<(&UserId, Membership)> {
    let membership = body.membership()?;
    let target = body.state_key()?.try_into().ok()?;
    Some((target, membership))
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

//! Account data: set as it is, or changed where two devices may want to at once: tags, the read marker, push rules.
//!
//! A lane decides several Commands before any is committed, so what it has set it remembers, ahead of the store. All of a user's account data is written in
//! his lane and nowhere else: what the lane remembers is never behind.

use std::{collections::HashMap, sync::Arc};

use plexus_core::{
    ids::{RoomNid, UserNid},
    row::Row,
};
use plexus_proto::{ChangeTag, SetAccountData, SetFullyRead};
use plexus_storage::account_data;
use ruma::{EventId, RoomId};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use super::{Decision, event::user_id, head::LaneState};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, bad_json, not_found, outsider, too_large, unknown_token},
    leader::Leader,
};

/// Most entries that a lane remembers once they are committed.
const PENDING_MAX: usize = 256;

/// Most tags of a room.
const TAGS_MAX: usize = 100;

/// What a user's lane has set.
#[derive(Debug, Default)]
pub(super) struct Pending(HashMap<Key, Arc<RawValue>>);

/// A place for account data: a room or none, and a type.
type Key = (Option<RoomNid>, String);

impl Pending {
    /// Everything is in the store now.
    pub(super) fn trim(&mut self) {
        if self.0.len() > PENDING_MAX {
            self.0.clear();
        }
    }
}

/// Whose account data, and what of it.
#[derive(Debug)]
pub(super) struct Place {
    user: UserNid,
    key: Key,
}

impl Place {
    pub(super) async fn of(
        leader: &Leader,
        user: &str,
        room: Option<&str>,
        kind: impl Into<String>,
    ) -> Result<Self, CommandError> {
        let gone = || unknown_token("This account is not there");
        let user = leader.store.user_nid(user_id(user)?).await?.ok_or_else(gone)?;
        let room = match room {
            None => None,
            Some(room) => {
                let room = <&RoomId>::try_from(room).map_err(|_| CommandError::Malformed("room_id"))?;
                let room = leader.store.room(room).await?.ok_or_else(outsider)?;
                let rooms = leader.store.user_rooms(user).await?;
                Some(rooms.get(room.nid).map(|_| room.nid).ok_or_else(outsider)?)
            }
        };
        Ok(Self {
            user,
            key: (room, kind.into()),
        })
    }

    /// What is there, counting what is decided but not yet committed.
    pub(super) async fn get(&self, leader: &Leader, state: &LaneState) -> Result<Option<Arc<RawValue>>, CommandError> {
        if let Some(pending) = state.account_data.0.get(&self.key) {
            return Ok(Some(Arc::clone(pending)));
        }
        let (room, kind) = &self.key;
        let entry = leader.store.account_data(self.user, *room, kind).await?;
        Ok(entry.map(|entry| Arc::from(entry.content.clone())))
    }

    /// Sets it. What is there already is not set again.
    pub(super) async fn set(
        self,
        leader: &Leader,
        state: &mut LaneState,
        content: Box<RawValue>,
    ) -> Result<Decision, CommandError> {
        let before = self.get(leader, state).await?;
        let (room, kind) = &self.key;
        if before.as_ref().is_some_and(|before| before.get() == content.get()) {
            return Ok(Decision::default());
        }
        let is_new = before.is_none();
        if is_new && leader.store.account_data_kinds(self.user, *room).await? >= account_data::KINDS_MAX {
            return Err(too_large("There is account data of too many types already"));
        }
        let mut change = ChangeSet::default();
        change.statements.push(account_data::upsert(
            self.user,
            *room,
            kind,
            change.next_sequence(),
            &content,
        ));
        change.rows.push(Row::AccountData {
            user: self.user,
            room: *room,
            kind: kind.clone(),
        });
        state.account_data.0.insert(self.key, content.into());
        Ok(Decision {
            change,
            ..Decision::default()
        })
    }
}

/// A client sets account data.
pub(super) async fn set_account_data(
    leader: &Leader,
    state: &mut LaneState,
    command: &SetAccountData,
) -> Result<Decision, CommandError> {
    let place = Place::of(leader, &command.user_id, command.room_id.as_deref(), &command.kind).await?;
    let content = serde_json::from_slice(&command.content).map_err(|_| bad_json("The content is not JSON"))?;
    place.set(leader, state, content).await
}

/// A client tags a room, or takes a tag away.
pub(super) async fn change_tag(
    leader: &Leader,
    state: &mut LaneState,
    command: &ChangeTag,
) -> Result<Decision, CommandError> {
    let place = Place::of(leader, &command.user_id, Some(&command.room_id), "m.tag").await?;
    let before = place.get(leader, state).await?;
    let mut content: Map<String, Value> = before
        .and_then(|content| serde_json::from_str(content.get()).ok())
        .unwrap_or_default();
    // What a client has put there itself may be anything.
    let mut tags = match content.remove("tags") {
        Some(Value::Object(tags)) => tags,
        _ => Map::new(),
    };
    match &command.content {
        Some(tag) => {
            let tag = serde_json::from_slice(tag).map_err(|_| bad_json("The tag is not JSON"))?;
            tags.insert(command.tag.clone(), tag);
            if tags.len() > TAGS_MAX {
                return Err(too_large("The room has too many tags already"));
            }
        }
        None if tags.remove(&command.tag).is_none() => return Ok(Decision::default()),
        None => {}
    }
    content.insert("tags".to_owned(), Value::Object(tags));
    let content = to_raw_value(&content).map_err(|_| bad_json("The tags are not JSON"))?;
    place.set(leader, state, content).await
}

/// A user has read everything up to an event. The marker never moves back.
pub(super) async fn set_fully_read(
    leader: &Leader,
    state: &mut LaneState,
    command: &SetFullyRead,
) -> Result<Decision, CommandError> {
    let place = Place::of(leader, &command.user_id, Some(&command.room_id), "m.fully_read").await?;
    let order = room_order(leader, &place, &command.event_id).await?;
    let order = order.ok_or_else(|| not_found("There is no such event in this room"))?;
    if let Some(before) = place.get(leader, state).await? {
        let before: Map<String, Value> = serde_json::from_str(before.get()).unwrap_or_default();
        let event_id = before.get("event_id").and_then(Value::as_str).unwrap_or_default();
        if room_order(leader, &place, event_id).await? >= Some(order) {
            return Ok(Decision::default());
        }
    }
    let content = serde_json::json!({"event_id": command.event_id});
    let content = to_raw_value(&content).map_err(|_| bad_json("The marker is not JSON"))?;
    place.set(leader, state, content).await
}

async fn room_order(leader: &Leader, place: &Place, event_id: &str) -> Result<Option<i64>, CommandError> {
    let (Some(room), Ok(event_id)) = (place.key.0, EventId::parse(event_id)) else {
        return Ok(None);
    };
    let Some(nid) = leader.store.event_nid(room, &event_id).await? else {
        return Ok(None);
    };
    Ok(leader.store.event(nid).await?.and_then(|event| event.room_order))
}

//! Asks a user's push rules about events of a room.

use std::{collections::HashMap, sync::Arc};

use plexus_core::{
    auth::PowerLevels,
    ids::NodeId,
    push_rules::{self, Event, Needs},
};
use plexus_storage::{events::StoredEvent, rooms::RoomInfo};
use ruma::UserId;
use serde_json::Value;

use super::rules::UserRules;
use crate::{Ctx, ServiceError};

/// What the rules say of an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// What is to be done.
    pub actions: Vec<Value>,
    /// Whether the user is notified.
    pub notifies: bool,
    /// Whether the event is highlighted besides.
    pub highlights: bool,
}

/// Asks one user's rules about events of one room. What the events' states say is looked up once for each state.
#[derive(Debug)]
pub struct Asker<'a> {
    ctx: &'a Ctx,
    room: &'a RoomInfo,
    user_id: &'a UserId,
    rules: &'a UserRules,
    members: u64,
    states: HashMap<NodeId, State>,
}

/// What rules ask of a room's state.
#[derive(Clone, Debug, Default)]
struct State {
    create: Option<Arc<StoredEvent>>,
    power_levels: Option<Arc<StoredEvent>>,
    display_name: Option<String>,
}

impl<'a> Asker<'a> {
    /// For a user who is in the room.
    pub async fn new(
        ctx: &'a Ctx,
        room: &'a RoomInfo,
        user_id: &'a UserId,
        rules: &'a UserRules,
    ) -> Result<Self, ServiceError> {
        let members = if rules.rules.need(Needs::Members) {
            ctx.store.room_members(room.nid).await?.joined() as u64
        } else {
            0
        };
        Ok(Self {
            ctx,
            room,
            user_id,
            rules,
            members,
            states: HashMap::new(),
        })
    }

    /// What is to be done about an event; nothing about the user's own.
    pub async fn ask(&mut self, event: &StoredEvent) -> Result<Answer, ServiceError> {
        if event.body.sender() == self.user_id {
            return Ok(Answer::default());
        }
        let state = self.state(event.state_before).await?;
        let may_notify = |key: &str| may_notify(self.room, &state, event, key);
        let room = push_rules::Room {
            user_id: self.user_id.as_str(),
            display_name: state.display_name.as_deref(),
            members: self.members,
            may_notify: &may_notify,
        };
        let answer = self.rules.rules.ask(&Event::new(&event.body), &room);
        Ok(answer.map_or_else(Answer::default, |answer| Answer {
            actions: answer.actions.to_vec(),
            notifies: answer.notifies,
            highlights: answer.highlights,
        }))
    }

    async fn state(&mut self, root: NodeId) -> Result<State, ServiceError> {
        if let Some(known) = self.states.get(&root) {
            return Ok(known.clone());
        }
        let rules = &self.rules.rules;
        let mut state = State::default();
        if rules.need(Needs::PowerLevels) {
            state.create = self.event(root, "m.room.create", "").await?;
            state.power_levels = self.event(root, "m.room.power_levels", "").await?;
        }
        if rules.need(Needs::DisplayName) {
            let member = self.event(root, "m.room.member", self.user_id.as_str()).await?;
            state.display_name = member.and_then(|member| member.body.content_string("displayname"));
        }
        self.states.insert(root, state.clone());
        Ok(state)
    }

    async fn event(&self, root: NodeId, kind: &str, key: &str) -> Result<Option<Arc<StoredEvent>>, ServiceError> {
        Ok(self.ctx.store.state_event(self.room.nid, root, kind, key).await?)
    }
}

/// Whether the event's sender may notify in the way of this name.
fn may_notify(room: &RoomInfo, state: &State, event: &StoredEvent, key: &str) -> bool {
    let Some(create) = &state.create else {
        return false;
    };
    let event_levels = state.power_levels.as_deref().map(|event| &*event.body);
    let levels = PowerLevels::read(room.version.rules(), &create.body, event_levels);
    match (
        levels.user_level(event.body.sender().as_str()),
        levels.notification_level(key),
    ) {
        (Ok(level), Ok(needed)) => level >= needed,
        (_, _) => false,
    }
}

//! One room after the other: those that are here, and those that only other servers can tell of.

use std::{collections::HashMap, time::Duration};

use ruma::{OwnedRoomId, OwnedServerName, RoomId};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use super::{children, content, show, target, valid_order};
use crate::{
    Ctx, Requester, ServiceError,
    federation::{
        hierarchy::{find_elsewhere, is_here},
        told_rooms::via,
    },
    rooms::summary::{Asker, look, may_know},
};

/// Most rooms of one walk that other servers are asked about.
const ASKED_MAX: usize = 20;
/// How long others are waited for in one walk.
const ASKING_MAX: Duration = Duration::from_secs(20);

/// A room to walk to.
#[derive(Clone, Debug)]
pub(super) struct Child {
    pub(super) room_id: OwnedRoomId,
    via: Vec<OwnedServerName>,
}

impl Child {
    /// A room that nothing more is known of.
    pub(super) fn named(room_id: &RoomId) -> Self {
        Self {
            room_id: room_id.to_owned(),
            via: Vec::new(),
        }
    }
}

/// A room that was walked to.
pub(super) struct Stop {
    pub(super) shown: Value,
    pub(super) children: Vec<Child>,
}

/// The walk of one user.
pub(super) struct Walk<'a> {
    ctx: &'a Ctx,
    requester: &'a Requester,
    suggested_only: bool,
    /// Rooms that were told of together with the space they are in.
    told: HashMap<OwnedRoomId, Map<String, Value>>,
    asked: usize,
    deadline: Instant,
}

impl<'a> Walk<'a> {
    pub(super) fn new(ctx: &'a Ctx, requester: &'a Requester, suggested_only: bool) -> Self {
        Self {
            ctx,
            requester,
            suggested_only,
            told: HashMap::new(),
            asked: 0,
            deadline: Instant::now() + ASKING_MAX,
        }
    }

    /// A room, if the user may know of it.
    pub(super) async fn visit(&mut self, child: &Child) -> Result<Option<Stop>, ServiceError> {
        let room = look(self.ctx, Asker::User(self.requester), &child.room_id).await?;
        let Some(room) = room else {
            if is_here(self.ctx, &child.room_id).await? {
                return Ok(None);
            }
            return self.visit_elsewhere(child).await;
        };
        let events = children(self.ctx, &room, self.suggested_only).await?;
        let below = events.iter().filter_map(|event| {
            Some(Child {
                room_id: target(event)?,
                via: via(&content(event)),
            })
        });
        Ok(Some(Stop {
            children: below.collect(),
            shown: show(&room, &events),
        }))
    }

    async fn visit_elsewhere(&mut self, child: &Child) -> Result<Option<Stop>, ServiceError> {
        let Some(mut room) = self.ask(child).await else {
            return Ok(None);
        };
        if !may_know(self.ctx, Asker::User(self.requester), &room).await? {
            return Ok(None);
        }
        let named = match room.remove("children_state") {
            Some(Value::Array(named)) if room.get("room_type").is_some_and(|kind| kind == "m.space") => named,
            _ => Vec::new(),
        };
        let mut named: Vec<Value> = named
            .into_iter()
            .filter(|child| !self.suggested_only || child["content"]["suggested"] == true)
            .collect();
        named.sort_by_cached_key(|child| {
            let order = child["content"]["order"]
                .as_str()
                .map(str::to_owned)
                .and_then(valid_order);
            let key = child["state_key"].as_str().map(str::to_owned);
            (order.is_none(), order, child["origin_server_ts"].as_u64(), key)
        });
        let below = named.iter().filter_map(|child| {
            Some(Child {
                room_id: child["state_key"].as_str()?.try_into().ok()?,
                via: via(&child["content"]),
            })
        });
        let children = below.collect();
        room.insert("children_state".to_owned(), named.into());
        Ok(Some(Stop {
            children,
            shown: Value::Object(room),
        }))
    }

    /// What other servers show of a room: what one has said of it already, or what those answer by which it can be joined.
    async fn ask(&mut self, child: &Child) -> Option<Map<String, Value>> {
        let known = self.told.get(&child.room_id);
        let is_space = known.is_some_and(|room| room.get("room_type").is_some_and(|kind| kind == "m.space"));
        if let Some(known) = known.filter(|_| !is_space) {
            return Some(known.clone());
        }
        if self.asked == ASKED_MAX {
            return known.cloned();
        }
        self.asked += 1;
        let asking = find_elsewhere(self.ctx, &child.room_id, &child.via, self.suggested_only);
        let Ok(Some(told)) = timeout_at(self.deadline, asking).await else {
            return known.cloned();
        };
        for child in &told.children {
            if let Some(room_id) = child["room_id"].as_str().and_then(|id| id.try_into().ok()) {
                self.told.insert(room_id, child.clone());
            }
        }
        Some(told.room.clone())
    }
}

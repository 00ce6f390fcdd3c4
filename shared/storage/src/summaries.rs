//! What a room shows of itself to those who are not in it, read of its state once for each state: the directory, spaces and previews ask for it again and
//! again.

use std::sync::Arc;

use plexus_core::{
    event::EventBody,
    ids::{EventNid, NodeId, RoomNid},
};
use ruma::OwnedRoomId;
use serde_json::Value as Json;

use crate::{
    Store, StoreError,
    cache::{Cache, CacheUse, bounded, usage},
    events::StoredEvent,
};

/// Bounds the cache of summaries, and that of spaces' children.
const CACHE_BYTES: u64 = 8 << 20;
/// Most rooms whose members a restricted room lets in that are read of its join rules.
const ALLOWED_ROOMS_MAX: usize = 100;
/// Most children that are read of a space.
const CHILDREN_MAX: usize = 1_000;

/// What a room's state says about the room as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomSummary {
    /// Its name.
    pub name: Option<String>,
    /// What it is about.
    pub topic: Option<String>,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// Its main alias.
    pub canonical_alias: Option<String>,
    /// Who may come in; nothing if the room does not say, which means: by invitation.
    pub join_rule: Option<String>,
    /// The rooms whose members may come in, if it is restricted.
    pub allowed_rooms: Vec<OwnedRoomId>,
    /// Whether everybody may read it.
    pub world_readable: bool,
    /// Whether guests may come in.
    pub guest_can_join: bool,
    /// What kind of room it is, if it is a special one: a space, say.
    pub room_type: Option<String>,
    /// How its messages are encrypted, if they are.
    pub encryption: Option<String>,
}

impl RoomSummary {
    /// The join rule, in the word of the specification.
    pub fn join_rule(&self) -> &str {
        self.join_rule.as_deref().unwrap_or("invite")
    }

    fn weight(&self) -> u64 {
        let texts = [
            &self.name,
            &self.topic,
            &self.avatar_url,
            &self.canonical_alias,
            &self.join_rule,
            &self.room_type,
            &self.encryption,
        ];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let allowed: usize = self.allowed_rooms.iter().map(|room| room.as_str().len() + 16).sum();
        (size_of::<Self>() + texts + allowed) as u64
    }
}

/// What has been read, by room and state.
pub(crate) struct Summaries {
    rooms: Cache<(RoomNid, NodeId), Arc<RoomSummary>>,
    children: Cache<(RoomNid, NodeId), Arc<Vec<EventNid>>>,
}

impl Summaries {
    pub(crate) fn new() -> Self {
        Self {
            rooms: bounded(CACHE_BYTES, 400, |_, summary| summary.weight()),
            children: bounded(CACHE_BYTES, 200, |_, children| 8 * children.len() as u64 + 32),
        }
    }

    pub(crate) fn usage(&self) -> [CacheUse; 2] {
        [
            usage("room_summaries", &self.rooms),
            usage("space_children", &self.children),
        ]
    }
}

impl Store {
    /// What a room's state says about the room as a whole.
    pub async fn room_summary(&self, room: RoomNid, state_root: NodeId) -> Result<Arc<RoomSummary>, StoreError> {
        let cache = &self.caches().summaries.rooms;
        if let Some(summary) = cache.get(&(room, state_root)) {
            return Ok(summary);
        }
        let summary = Arc::new(self.read_summary(room, state_root).await?);
        cache.insert((room, state_root), Arc::clone(&summary));
        Ok(summary)
    }

    async fn read_summary(&self, room: RoomNid, state_root: NodeId) -> Result<RoomSummary, StoreError> {
        let string = async |kind: &'static str, key: &'static str| -> Result<Option<String>, StoreError> {
            let event = self.state_event(room, state_root, kind, "").await?;
            let text = event.and_then(|event| event.body.content_string(key));
            Ok(text.filter(|text| !text.is_empty()))
        };
        let join_rules = self.state_event(room, state_root, "m.room.join_rules", "").await?;
        Ok(RoomSummary {
            name: string("m.room.name", "name").await?,
            topic: string("m.room.topic", "topic").await?,
            avatar_url: string("m.room.avatar", "url").await?,
            canonical_alias: string("m.room.canonical_alias", "alias").await?,
            join_rule: join_rules
                .as_ref()
                .and_then(|event| event.body.content_string("join_rule")),
            allowed_rooms: join_rules.map(|event| allowed_rooms(&event.body)).unwrap_or_default(),
            world_readable: string("m.room.history_visibility", "history_visibility")
                .await?
                .as_deref()
                == Some("world_readable"),
            guest_can_join: string("m.room.guest_access", "guest_access").await?.as_deref() == Some("can_join"),
            room_type: string("m.room.create", "type").await?,
            encryption: string("m.room.encryption", "algorithm").await?,
        })
    }

    /// The events that say which rooms a space has, in no particular order; those of its state that name servers to join by.
    pub async fn space_children(&self, room: RoomNid, state_root: NodeId) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        let cache = &self.caches().summaries.children;
        if let Some(children) = cache.get(&(room, state_root)) {
            return self.events(&children).await;
        }
        let (keys, nids): (Vec<_>, Vec<_>) = self.state(room, state_root).await?.into_iter().unzip();
        let keys = self.state_keys(&keys).await?;
        let is_child = |key: &Option<Arc<(String, String)>>| key.as_ref().is_some_and(|key| key.0 == "m.space.child");
        let nids: Vec<EventNid> = keys
            .iter()
            .zip(nids)
            .filter(|(key, _)| is_child(key))
            .map(|(_, nid)| nid)
            .take(CHILDREN_MAX)
            .collect();
        let mut events = self.events(&nids).await?;
        events.retain(|event| names_servers(&event.body));
        let children = events.iter().map(|event| event.nid).collect();
        cache.insert((room, state_root), Arc::new(children));
        Ok(events)
    }
}

/// The rooms that a restricted join rule names.
fn allowed_rooms(join_rules: &EventBody) -> Vec<OwnedRoomId> {
    let content: Json = join_rules.content_as().unwrap_or_default();
    if !matches!(content["join_rule"].as_str(), Some("restricted" | "knock_restricted")) {
        return Vec::new();
    }
    let conditions = content["allow"].as_array().into_iter().flatten();
    conditions
        .filter(|condition| condition["type"] == "m.room_membership")
        .filter_map(|condition| condition["room_id"].as_str()?.try_into().ok())
        .take(ALLOWED_ROOMS_MAX)
        .collect()
}

/// Whether a child event stands: one without `via` has been taken back.
fn names_servers(child: &EventBody) -> bool {
    let content: Json = child.content_as().unwrap_or_default();
    content["via"].as_array().is_some_and(|via| !via.is_empty())
}

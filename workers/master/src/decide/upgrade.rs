//! Upgrading a room: a replacement in another version, and what is left of the old room, all in one commit.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#room-upgrades>

mod levels;

use plexus_core::{
    room_version::{CreatorSource, RoomIdFormat, RoomVersion},
    row::{Membership, Row},
};
use plexus_proto::{CommandResult, InitialEvent, UpgradeRoom};
use plexus_storage::{room_aliases, room_directory};
use ruma::{OwnedRoomId, UserId};
use serde_json::{Map, Value, json, value::to_raw_value};

use self::levels::{Levels, carry_over, restrict};
use super::{
    Decision,
    create_room::{append_initial, begin_room, new_room_id, version},
    event::{Draft, append, user_id},
    head::PendingHead,
    membership::add_profile,
};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, bad_json},
    leader::Leader,
};

/// A JSON object.
type Object = Map<String, Value>;

/// State that is carried over as it is, besides power levels.
const CARRIED: [&str; 8] = [
    "m.room.join_rules",
    "m.room.history_visibility",
    GUEST_ACCESS,
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.encryption",
    "m.room.server_acl",
];
const GUEST_ACCESS: &str = "m.room.guest_access";
const ALIASES: &str = "m.room.canonical_alias";
const LEVELS: &str = "m.room.power_levels";
const MEMBER: &str = "m.room.member";
const CHILD: &str = "m.space.child";

/// Bans that are carried over.
const BANS_MAX: usize = 1_000;
/// Creators beside the one who upgrades.
const CREATORS_MAX: usize = 100;

/// Replaces a room.
pub(super) async fn upgrade_room(
    leader: &Leader,
    head: &mut PendingHead,
    command: &UpgradeRoom,
) -> Result<Decision, CommandError> {
    let sender = user_id(&command.sender)?;
    let now_ms = leader.clock.now_ms();
    if command.additional_creators.len() > CREATORS_MAX {
        return Err(bad_json("Too many additional creators"));
    }
    // The head has moved only if everything below has succeeded.
    let mut old = head.clone();
    let plan = Plan::of(leader, &mut old, sender, command).await?;
    let mut change = ChangeSet::default();
    let unlinked = plan.create_event(None);
    let room_id = new_room_id(leader, plan.version, sender, &command.opaque_id, &unlinked, now_ms)?;
    let tombstone = json!({"body": "This room has been replaced", "replacement_room": room_id});
    let tombstone = speak(leader, &mut old, sender, "m.room.tombstone", &tombstone).await?;
    let tombstone_id = tombstone.result.event_id.clone();
    change.append(tombstone.change);

    let create = match plan.version.rules().room_id {
        RoomIdFormat::Assigned => plan.create_event(tombstone_id.as_deref()),
        // It was what gave the room its id.
        RoomIdFormat::CreateEventHash => unlinked,
    };
    let mut new = begin_room(leader, room_id, plan.version, &mut change);
    for event in std::iter::once(&create).chain(&plan.events) {
        append_initial(leader, &mut new, sender, event, now_ms, &mut change).await?;
    }
    new.store(&mut change);
    leave_behind(leader, &mut old, sender, &mut change).await?;
    move_listing(leader, &old, &new, &mut change).await?;
    *head = old;
    let result = CommandResult {
        event_id: tombstone_id,
        room_id: Some(new.info.id.to_string()),
        ..CommandResult::default()
    };
    Ok(Decision { change, result })
}

/// What a replacement is to be.
struct Plan {
    version: RoomVersion,
    create: Object,
    predecessor: OwnedRoomId,
    /// What follows the create event.
    events: Vec<InitialEvent>,
}

impl Plan {
    async fn of(
        leader: &Leader,
        old: &mut PendingHead,
        sender: &UserId,
        command: &UpgradeRoom,
    ) -> Result<Self, CommandError> {
        let version = version(command.room_version)?;
        let old_create = content(leader, old, "m.room.create").await?.unwrap_or_default();
        let mut create = old_create.clone();
        for key in ["room_version", "creator", "predecessor", "additional_creators"] {
            create.remove(key);
        }
        create.insert("room_version".to_owned(), version.as_str().into());
        let additional = additional_creators(sender, command)?;
        let mut are_creators = Vec::new();
        match version.rules().auth.creator {
            CreatorSource::Content => {
                create.insert("creator".to_owned(), sender.as_str().into());
            }
            CreatorSource::Sender => {}
            CreatorSource::SenderAndAdditional => {
                if !additional.is_empty() {
                    create.insert("additional_creators".to_owned(), json!(additional));
                }
                are_creators = additional;
                are_creators.push(sender.to_string());
            }
        }
        let were_creators = old_creators(leader, old, &old_create).await?;
        let mut events = vec![member(leader, sender).await?];
        let levels = content(leader, old, LEVELS).await?;
        let levels = levels.unwrap_or_else(|| without_levels(&were_creators));
        let above = if old.info.version.rules().auth.creator == CreatorSource::SenderAndAdditional {
            were_creators
        } else {
            Vec::new()
        };
        let Levels { first, last } = carry_over(levels, sender.as_str(), &above, &are_creators);
        events.push(initial(LEVELS, "", &Value::Object(first)));
        carry_state(leader, old, &mut events).await?;
        events.extend(last.map(|last| initial(LEVELS, "", &Value::Object(last))));
        Ok(Self {
            version,
            create,
            predecessor: old.info.id.clone(),
            events,
        })
    }

    /// The create event, naming the old room's last event where that is known before the new room's id.
    fn create_event(&self, last_event: Option<&str>) -> InitialEvent {
        let mut predecessor = json!({"room_id": self.predecessor});
        if let Some(last_event) = last_event {
            predecessor["event_id"] = last_event.into();
        }
        let mut create = self.create.clone();
        create.insert("predecessor".to_owned(), predecessor);
        initial("m.room.create", "", &Value::Object(create))
    }
}

/// The creators asked for beside the sender, nobody twice.
fn additional_creators(sender: &UserId, command: &UpgradeRoom) -> Result<Vec<String>, CommandError> {
    let mut creators: Vec<String> = Vec::new();
    for creator in &command.additional_creators {
        <&UserId>::try_from(creator.as_str()).map_err(|_| bad_json("additional_creators are user ids"))?;
        if creator != sender.as_str() && !creators.contains(creator) {
            creators.push(creator.clone());
        }
    }
    Ok(creators)
}

/// Who made the old room.
async fn old_creators(leader: &Leader, old: &mut PendingHead, create: &Object) -> Result<Vec<String>, CommandError> {
    let event = old.state_event(leader, "m.room.create", "").await?;
    let sender = event.map(|event| event.sender().to_string());
    Ok(match old.info.version.rules().auth.creator {
        CreatorSource::Content => create
            .get("creator")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .into_iter()
            .collect(),
        CreatorSource::Sender => sender.into_iter().collect(),
        CreatorSource::SenderAndAdditional => {
            let additional = create.get("additional_creators").and_then(Value::as_array);
            let additional = additional
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned);
            sender.into_iter().chain(additional).collect()
        }
    })
}

/// What holds in a room without power levels.
fn without_levels(creators: &[String]) -> Object {
    let users: Object = creators.iter().map(|creator| (creator.clone(), 100.into())).collect();
    Object::from_iter([("users".to_owned(), Value::Object(users))])
}

/// The member event of whoever upgrades.
async fn member(leader: &Leader, sender: &UserId) -> Result<InitialEvent, CommandError> {
    let mut member = Object::from_iter([("membership".to_owned(), "join".into())]);
    add_profile(leader, sender, &mut member).await?;
    Ok(initial(MEMBER, sender.as_str(), &Value::Object(member)))
}

/// What is carried over besides power levels: the room's looks and rules, its aliases, its bans, and a space's rooms.
async fn carry_state(
    leader: &Leader,
    old: &mut PendingHead,
    events: &mut Vec<InitialEvent>,
) -> Result<(), CommandError> {
    for kind in CARRIED.into_iter().chain([ALIASES]) {
        match content(leader, old, kind).await? {
            Some(content) => events.push(initial(kind, "", &Value::Object(content))),
            // What a room without the event means, said in words: clients look for it in a room that replaces another.
            None if kind == GUEST_ACCESS => events.push(initial(kind, "", &json!({"guest_access": "forbidden"}))),
            None => {}
        }
    }
    let members = leader.store.room_members(old.info.nid).await?;
    for (banned, _) in members.with(Membership::Ban).take(BANS_MAX) {
        let Some(banned) = leader.store.user_id(banned).await? else {
            continue;
        };
        let member = old.state_event(leader, MEMBER, banned.as_str()).await?;
        if let Some(member) = member.filter(|member| member.membership() == Some(Membership::Ban)) {
            let content = member.content_as().unwrap_or_default();
            events.push(initial(MEMBER, banned.as_str(), &content));
        }
    }
    let create = content(leader, old, "m.room.create").await?.unwrap_or_default();
    if create.get("type").is_some_and(|kind| kind == "m.space") {
        // What the database has of it: the state this head is ahead by is not there yet.
        let committed = leader.store.room_sizes(&[old.info.nid]).await?;
        let root = committed.first().map_or(old.root, |size| size.root);
        for child in leader.store.space_children(old.info.nid, root).await? {
            let key = child.body.state_key().unwrap_or_default();
            events.push(initial(CHILD, key, &child.body.content_as().unwrap_or_default()));
        }
    }
    Ok(())
}

/// The old room gives its aliases up, and hardly anybody may talk in it, as far as whoever upgrades has the power for it.
async fn leave_behind(
    leader: &Leader,
    old: &mut PendingHead,
    sender: &UserId,
    change: &mut ChangeSet,
) -> Result<(), CommandError> {
    let mut wishes = Vec::new();
    if content(leader, old, ALIASES)
        .await?
        .is_some_and(|aliases| !aliases.is_empty())
    {
        wishes.push((ALIASES, json!({})));
    }
    if let Some(levels) = content(leader, old, LEVELS).await?.and_then(|levels| restrict(&levels)) {
        wishes.push((LEVELS, Value::Object(levels)));
    }
    for (kind, content) in wishes {
        match speak(leader, old, sender, kind, &content).await {
            Ok(decision) => change.append(decision.change),
            Err(CommandError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The directory lists the new room instead of the old one, and the aliases lead to it.
async fn move_listing(
    leader: &Leader,
    old: &PendingHead,
    new: &PendingHead,
    change: &mut ChangeSet,
) -> Result<(), CommandError> {
    let (from, to) = (old.info.nid, new.info.nid);
    change.statements.push(room_aliases::move_all(from, to));
    if leader.store.is_listed(from).await? {
        change.statements.push(room_directory::update(from, false));
        change.statements.push(room_directory::update(to, true));
    }
    change.rows.extend([Row::Room { room: from }, Row::Room { room: to }]);
    Ok(())
}

/// Sends state with an empty key.
async fn speak(
    leader: &Leader,
    head: &mut PendingHead,
    sender: &UserId,
    kind: &str,
    content: &Value,
) -> Result<Decision, CommandError> {
    let content = to_raw_value(content).map_err(|_| bad_json("content is not JSON"))?;
    let draft = Draft {
        sender,
        kind,
        state_key: Some(""),
        content: &content,
        redacts: None,
        transaction: None,
    };
    append(leader, head, draft, leader.clock.now_ms()).await
}

/// The content of a piece of the room's state.
async fn content(leader: &Leader, head: &mut PendingHead, kind: &str) -> Result<Option<Object>, CommandError> {
    let event = head.state_event(leader, kind, "").await?;
    Ok(event.and_then(|event| event.content_as().ok()))
}

fn initial(kind: &str, state_key: &str, content: &Value) -> InitialEvent {
    InitialEvent {
        kind: kind.to_owned(),
        state_key: state_key.to_owned(),
        content: content.to_string().into(),
    }
}

//! From a client's wishes to the room's first events. Pure.

use plexus_core::room_version::{CreatorSource, RoomVersion};
use plexus_proto::InitialEvent;
use ruma::{OwnedUserId, RoomAliasId, UserId};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{NewRoom, Object, Preset};
use crate::ServiceError;

/// A user as a member event shows him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user_id: OwnedUserId,
    pub display_name: Option<String>,
    pub avatar_url: Option<String>,
}

/// The room's events in the order the specification gives. `invited` has nobody twice and not the creator.
pub fn expand(
    room: &NewRoom,
    version: RoomVersion,
    alias: Option<&RoomAliasId>,
    creator: &Member,
    invited: &[Member],
) -> Result<Vec<InitialEvent>, ServiceError> {
    let preset = room.preset.unwrap_or(if room.public {
        Preset::PublicChat
    } else {
        Preset::PrivateChat
    });
    let create = create_content(room, version, preset, &creator.user_id, invited)?;
    let creators = creators(&create, version, &creator.user_id)?;
    let power_levels = power_levels(room, version, preset, &creators, &creator.user_id, invited)?;
    let mut events = vec![
        event("m.room.create", "", &Value::Object(create)),
        event(
            "m.room.member",
            creator.user_id.as_str(),
            &member_content(creator, "join", false),
        ),
        event("m.room.power_levels", "", &power_levels),
    ];
    if let Some(alias) = alias {
        events.push(event("m.room.canonical_alias", "", &json!({"alias": alias})));
    }
    for (kind, content) in preset_events(preset) {
        if !room
            .initial_state
            .iter()
            .any(|state| state.kind == kind && state.state_key.is_empty())
        {
            events.push(event(kind, "", &content));
        }
    }
    for state in &room.initial_state {
        if state.kind == "m.room.create" {
            return Err(ServiceError::bad_json(
                "initial_state has an m.room.create event: use creation_content",
            ));
        }
        let set_otherwise = match state.kind.as_str() {
            "m.room.name" => room.name.is_some(),
            "m.room.topic" => room.topic.is_some(),
            "m.room.canonical_alias" => alias.is_some(),
            _ => false,
        };
        if !(set_otherwise && state.state_key.is_empty()) {
            if !state.content.get().starts_with('{') {
                return Err(ServiceError::bad_json("an event's content is a JSON object"));
            }
            events.push(InitialEvent {
                kind: state.kind.clone(),
                state_key: state.state_key.clone(),
                content: state.content.get().to_owned().into(),
            });
        }
    }
    if let Some(name) = &room.name {
        events.push(event("m.room.name", "", &json!({"name": name})));
    }
    if let Some(topic) = &room.topic {
        events.push(event("m.room.topic", "", &topic_content(topic)));
    }
    // Users of other servers are invited once the room is there.
    let own = creator.user_id.server_name();
    for member in invited.iter().filter(|member| member.user_id.server_name() == own) {
        let content = member_content(member, "invite", room.is_direct);
        events.push(event("m.room.member", member.user_id.as_str(), &content));
    }
    Ok(events)
}

fn event(kind: &str, state_key: &str, content: &Value) -> InitialEvent {
    let content = content.to_string().into();
    InitialEvent {
        kind: kind.to_owned(),
        state_key: state_key.to_owned(),
        content,
    }
}

/// The client's creation content, with what only the server says.
fn create_content(
    room: &NewRoom,
    version: RoomVersion,
    preset: Preset,
    creator: &UserId,
    invited: &[Member],
) -> Result<Object, ServiceError> {
    let mut content = room.creation_content.clone();
    content.remove("creator");
    content.insert("room_version".to_owned(), version.as_str().into());
    if !content.get("m.federate").is_none_or(Value::is_boolean) {
        return Err(ServiceError::bad_json("m.federate is no boolean"));
    }
    match version.rules().auth.creator {
        CreatorSource::Content => {
            content.insert("creator".to_owned(), creator.as_str().into());
        }
        CreatorSource::Sender => {}
        CreatorSource::SenderAndAdditional => {
            let mut additional = additional_creators(&content)?;
            if preset == Preset::TrustedPrivateChat {
                additional.extend(invited.iter().map(|member| member.user_id.clone()));
            }
            let mut unique: Vec<OwnedUserId> = Vec::with_capacity(additional.len());
            for user_id in additional {
                if user_id != creator && !unique.contains(&user_id) {
                    unique.push(user_id);
                }
            }
            content.remove("additional_creators");
            if !unique.is_empty() {
                content.insert("additional_creators".to_owned(), json!(unique));
            }
        }
    }
    Ok(content)
}

fn additional_creators(content: &Object) -> Result<Vec<OwnedUserId>, ServiceError> {
    let Some(additional) = content.get("additional_creators") else {
        return Ok(Vec::new());
    };
    Vec::deserialize(additional).map_err(|_| ServiceError::bad_json("additional_creators is no list of user ids"))
}

/// Who stands above every power level: nobody before version 12.
fn creators(create: &Object, version: RoomVersion, creator: &UserId) -> Result<Vec<OwnedUserId>, ServiceError> {
    match version.rules().auth.creator {
        CreatorSource::Content | CreatorSource::Sender => Ok(Vec::new()),
        CreatorSource::SenderAndAdditional => {
            let mut creators = additional_creators(create)?;
            creators.push(creator.to_owned());
            Ok(creators)
        }
    }
}

fn power_levels(
    room: &NewRoom,
    version: RoomVersion,
    preset: Preset,
    creators: &[OwnedUserId],
    creator: &UserId,
    invited: &[Member],
) -> Result<Value, ServiceError> {
    let tombstone_level = if creators.is_empty() { 100 } else { 150 };
    let mut users = Object::new();
    if creators.is_empty() {
        users.insert(creator.to_string(), 100.into());
        if preset == Preset::TrustedPrivateChat {
            users.extend(
                invited
                    .iter()
                    .map(|member| (member.user_id.to_string(), Value::from(100))),
            );
        }
    }
    let invite_level = if preset == Preset::PublicChat { 50 } else { 0 };
    let mut content = object(json!({
        "users": users,
        "users_default": 0,
        "events": {
            "m.room.avatar": 50,
            "m.room.canonical_alias": 50,
            "m.room.encryption": 100,
            "m.room.history_visibility": 100,
            "m.room.name": 50,
            "m.room.power_levels": 100,
            "m.room.server_acl": 100,
            "m.room.tombstone": tombstone_level,
        },
        "events_default": 0,
        "state_default": 50,
        "ban": 50,
        "kick": 50,
        "redact": 50,
        "invite": invite_level,
    }));
    content.extend(room.power_levels_override.clone());
    check_power_levels(&mut content, version, creators, creator, tombstone_level)?;
    Ok(Value::Object(content))
}

/// What an override may not break: somebody must rule the room, creators are above levels, and a tombstone is above other state where there are creators.
fn check_power_levels(
    content: &mut Object,
    version: RoomVersion,
    creators: &[OwnedUserId],
    creator: &UserId,
    tombstone_level: i64,
) -> Result<(), ServiceError> {
    let Some(Value::Object(users)) = content.get("users") else {
        return Err(ServiceError::bad_json(
            "users of power_level_content_override is no object",
        ));
    };
    if creators.is_empty() && !users.contains_key(creator.as_str()) {
        return Err(ServiceError::bad_json(
            "power_level_content_override leaves the creator without a power level",
        ));
    }
    if let Some(creator) = creators.iter().find(|creator| users.contains_key(creator.as_str())) {
        let why = format!("{creator} creates a room of version {version} and has no power level in it");
        return Err(ServiceError::bad_json(why));
    }
    let state_default = content.get("state_default").and_then(Value::as_i64).unwrap_or_default();
    let Some(Value::Object(events)) = content.get_mut("events") else {
        return Err(ServiceError::bad_json(
            "events of power_level_content_override is no object",
        ));
    };
    if !creators.is_empty() {
        let level = events.entry("m.room.tombstone").or_insert(tombstone_level.into());
        if level.as_i64().is_some_and(|level| level <= state_default) {
            *level = state_default.saturating_add(1).into();
        }
    }
    Ok(())
}

fn preset_events(preset: Preset) -> Vec<(&'static str, Value)> {
    let (join_rule, lets_guests_in) = match preset {
        Preset::PrivateChat | Preset::TrustedPrivateChat => ("invite", true),
        Preset::PublicChat => ("public", false),
    };
    let mut events = vec![
        ("m.room.join_rules", json!({"join_rule": join_rule})),
        ("m.room.history_visibility", json!({"history_visibility": "shared"})),
    ];
    // A room that does not say so lets no guests in.
    if lets_guests_in {
        events.push(("m.room.guest_access", json!({"guest_access": "can_join"})));
    }
    events
}

fn member_content(member: &Member, membership: &str, is_direct: bool) -> Value {
    let mut content = object(json!({"membership": membership}));
    if let Some(name) = &member.display_name {
        content.insert("displayname".to_owned(), name.as_str().into());
    }
    if let Some(url) = &member.avatar_url {
        content.insert("avatar_url".to_owned(), url.as_str().into());
    }
    if is_direct {
        content.insert("is_direct".to_owned(), true.into());
    }
    Value::Object(content)
}

/// The topic, as plain text both where it has always been and where it is since version 1.15 of the specification.
fn topic_content(topic: &str) -> Value {
    json!({"topic": topic, "m.topic": {"m.text": [{"body": topic}]}})
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Object::new(),
    }
}

#[cfg(test)]
mod tests;

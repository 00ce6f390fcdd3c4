//! What a user keeps of a room goes with him into the room that replaces it: tags, whether it is a direct chat, and his push rule for it.

use plexus_core::push_rules::{Content, Kind, NewRule, Place as RulePlace, Ruleset, server_default};
use plexus_proto::CarryOver;
use serde_json::{Map, Value, value::to_raw_value};

use super::{Decision, account_data::Place, event::user_id, head::LaneState};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, bad_json},
    leader::Leader,
};

/// A user has come into the room that replaces another one. What he has said of the new one already stays as it is.
pub(super) async fn carry_over(
    leader: &Leader,
    state: &mut LaneState,
    command: &CarryOver,
) -> Result<Decision, CommandError> {
    let mut change = ChangeSet::default();
    change.append(tags(leader, state, command).await?.change);
    change.append(direct_chats(leader, state, command).await?.change);
    change.append(push_rule(leader, state, command).await?.change);
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

async fn tags(leader: &Leader, state: &mut LaneState, command: &CarryOver) -> Result<Decision, CommandError> {
    let (user, old, new) = (&command.user_id, &command.from_room_id, &command.to_room_id);
    let from = Place::of(leader, user, Some(old), "m.tag").await?;
    let to = Place::of(leader, user, Some(new), "m.tag").await?;
    match from.get(leader, state).await? {
        Some(tags) if to.get(leader, state).await?.is_none() => to.set(leader, state, (*tags).to_owned()).await,
        Some(_) | None => Ok(Decision::default()),
    }
}

async fn direct_chats(leader: &Leader, state: &mut LaneState, command: &CarryOver) -> Result<Decision, CommandError> {
    let place = Place::of(leader, &command.user_id, None, "m.direct").await?;
    let content = place.get(leader, state).await?;
    let content: Option<Map<String, Value>> = content.and_then(|content| serde_json::from_str(content.get()).ok());
    let Some(mut chats) = content else {
        return Ok(Decision::default());
    };
    let mut has_changed = false;
    for rooms in chats.values_mut().filter_map(Value::as_array_mut) {
        let names = |room: &str| rooms.iter().any(|named| named == room);
        if names(&command.from_room_id) && !names(&command.to_room_id) {
            rooms.push(Value::from(command.to_room_id.as_str()));
            has_changed = true;
        }
    }
    if !has_changed {
        return Ok(Decision::default());
    }
    let content = to_raw_value(&chats).map_err(|_| bad_json("The chats are not JSON"))?;
    place.set(leader, state, content).await
}

async fn push_rule(leader: &Leader, state: &mut LaneState, command: &CarryOver) -> Result<Decision, CommandError> {
    let place = Place::of(leader, &command.user_id, None, "m.push_rules").await?;
    let content = place.get(leader, state).await?;
    let content = content.and_then(|content| serde_json::from_str::<Content>(content.get()).ok());
    let Some(content) = content else {
        return Ok(Decision::default());
    };
    let mut rules = content.global.on(&server_default(user_id(&command.user_id)?));
    if !copy_rule(&mut rules, &command.from_room_id, &command.to_room_id) {
        return Ok(Decision::default());
    }
    let content = to_raw_value(&Content { global: rules }).map_err(|_| bad_json("The rules are not JSON"))?;
    place.set(leader, state, content).await
}

/// Whether there was a rule for the one room and none for the other, and there is now. A user with as many rules as there may be keeps those he has.
fn copy_rule(rules: &mut Ruleset, from: &str, to: &str) -> bool {
    let Some(rule) = rules.get(Kind::Room, from).cloned() else {
        return false;
    };
    if rules.get(Kind::Room, to).is_some() {
        return false;
    }
    let new = NewRule {
        actions: rule.actions,
        conditions: None,
        pattern: None,
    };
    let is_put = rules.put(Kind::Room, to, new, RulePlace::default()).is_ok();
    is_put && rules.set_enabled(Kind::Room, to, rule.enabled).is_ok()
}

//! Push rules, which are account data that only the server writes.

use plexus_core::push_rules::{ChangeError, Content, Kind, Place as RulePlace, Ruleset, server_default};
use plexus_proto::{ChangePushRules, change_push_rules::Change};
use serde_json::value::to_raw_value;

use super::{Decision, account_data::Place, event::user_id, head::LaneState};
use crate::{
    error::{CommandError, bad_json, invalid_param, not_found, too_large},
    leader::Leader,
};

/// A client changes one of its rules.
pub(super) async fn change_push_rules(
    leader: &Leader,
    state: &mut LaneState,
    command: &ChangePushRules,
) -> Result<Decision, CommandError> {
    let place = Place::of(leader, &command.user_id, None, "m.push_rules").await?;
    let defaults = server_default(user_id(&command.user_id)?);
    let stored = place.get(leader, state).await?;
    let stored = stored.and_then(|content| serde_json::from_str::<Content>(content.get()).ok());
    let mut rules = match stored {
        Some(stored) => stored.global.on(&defaults),
        None => defaults,
    };
    change(&mut rules, command)?;
    let content = to_raw_value(&Content { global: rules }).map_err(|_| bad_json("The rules are not JSON"))?;
    place.set(leader, state, content).await
}

fn change(rules: &mut Ruleset, command: &ChangePushRules) -> Result<(), CommandError> {
    let kind = Kind::parse(&command.kind).ok_or(CommandError::Malformed("kind of push rule"))?;
    let rule_id = command.rule_id.as_str();
    let changed = match command.change.as_ref().ok_or(CommandError::Malformed("no change"))? {
        Change::Put(put) => {
            let rule = serde_json::from_slice(&put.rule).map_err(|error| bad_json(error.to_string()))?;
            let place = RulePlace {
                before: put.before.as_deref(),
                after: put.after.as_deref(),
            };
            rules.put(kind, rule_id, rule, place)
        }
        Change::Delete(_) => rules.delete(kind, rule_id),
        Change::Enabled(enabled) => rules.set_enabled(kind, rule_id, *enabled),
        Change::Actions(actions) => {
            let actions = serde_json::from_slice(actions).map_err(|error| bad_json(error.to_string()))?;
            rules.set_actions(kind, rule_id, actions)
        }
    };
    changed.map_err(|error| match error {
        ChangeError::NotFound => not_found(error.to_string()),
        ChangeError::Invalid(message) => invalid_param(message),
        ChangeError::TooMuch(message) => too_large(message),
    })
}

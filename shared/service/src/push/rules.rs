//! A user's push rules: what is stored of them, brought up to date with the server's, and ready to be asked.

use std::sync::Arc;

use plexus_core::{
    ids::UserNid,
    push_rules::{Content, Kind as RuleKind, Rules, Ruleset, server_default},
};
use plexus_proto::{self as proto, change_push_rules::Change, command::Kind};
use ruma::UserId;
use serde_json::{Value, value::RawValue};

use crate::{Ctx, Requester, ServiceError, ids::new_command, user_memory::DEFAULT_RULES_BYTES};

/// The type of account data that push rules are.
pub const KIND: &str = "m.push_rules";

/// How much larger rules are in memory than as JSON, about: once as they are and once compiled.
const GROWTH: u64 = 6;

/// The rules of a user.
#[derive(Debug)]
pub struct UserRules {
    /// As he sees them.
    pub set: Ruleset,
    /// As events are asked about.
    pub rules: Rules,
    /// Whether they are those everybody begins with.
    pub are_default: bool,
    /// What they take up in memory, about.
    pub(crate) bytes: u64,
}

impl UserRules {
    /// The content of `m.push_rules`.
    pub fn content(&self) -> Content {
        Content {
            global: self.set.clone(),
        }
    }
}

/// The rules of a user, from memory but for the first time.
pub async fn of_user(ctx: &Ctx, user: UserNid, user_id: &UserId) -> Result<Arc<UserRules>, ServiceError> {
    let entry = ctx.store.account_data(user, None, KIND).await?;
    let position = entry.as_ref().map_or(0, |entry| entry.position);
    if let Some((known, rules)) = ctx.user_memory.caches().rules.get(&user)
        && known == position
    {
        return Ok(rules);
    }
    let defaults = server_default(user_id);
    let (set, bytes) = match &entry {
        Some(entry) => {
            let json = entry.content.get();
            // Only the server writes it; should it not be readable, the user has the default rules and can change them.
            let stored: Content = serde_json::from_str(json).unwrap_or_default();
            (stored.global.on(&defaults), GROWTH * json.len() as u64)
        }
        None => (defaults.clone(), 0),
    };
    let rules = Arc::new(UserRules {
        rules: Rules::compile(&set),
        are_default: set == defaults,
        set,
        bytes: DEFAULT_RULES_BYTES + bytes,
    });
    ctx.user_memory
        .caches()
        .rules
        .insert(user, (position, Arc::clone(&rules)));
    Ok(rules)
}

/// What a client wants to do to one of its rules.
#[derive(Clone, Debug)]
pub enum RuleChange {
    /// Add it, or say something else of it.
    Put {
        rule: Box<RawValue>,
        before: Option<String>,
        after: Option<String>,
    },
    Delete,
    SetEnabled(bool),
    SetActions(Vec<Value>),
}

/// Changes one of the requester's rules.
pub async fn change_rule(
    ctx: &Ctx,
    requester: &Requester,
    kind: RuleKind,
    rule_id: &str,
    change: RuleChange,
) -> Result<(), ServiceError> {
    let change = match change {
        RuleChange::Put { rule, before, after } => Change::Put(proto::PutPushRule {
            rule: String::from(Box::<str>::from(rule)).into(),
            before,
            after,
        }),
        RuleChange::Delete => Change::Delete(true),
        RuleChange::SetEnabled(enabled) => Change::Enabled(enabled),
        RuleChange::SetActions(actions) => Change::Actions(Value::Array(actions).to_string().into()),
    };
    let command = proto::ChangePushRules {
        user_id: requester.user_id.to_string(),
        kind: kind.as_str().to_owned(),
        rule_id: rule_id.to_owned(),
        change: Some(change),
    };
    ctx.replica.run(new_command(Kind::ChangePushRules(command))).await?;
    Ok(())
}

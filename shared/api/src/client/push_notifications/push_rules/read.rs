//! Reading push rules.

use std::sync::Arc;

use ::http::Method;
use plexus_core::push_rules::{Kind, Rule};
use plexus_service::push::rules::{UserRules, of_user};
use serde::Serialize;
use serde_json::json;

use super::{check_scope, kind, segment};
use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ALL: Route = Route::own(
    "push_rules",
    || Method::GET,
    &["/_matrix/client/v3/pushrules/"],
    Auth::User,
    |call| Box::pin(all(call)),
);
pub(in crate::client) const OF_SCOPE: Route = Route::own(
    "push_rules_of_scope",
    || Method::GET,
    &[
        "/_matrix/client/v3/pushrules/{scope}/",
        "/_matrix/client/v3/pushrules/{scope}",
    ],
    Auth::User,
    |call| Box::pin(of_scope(call)),
);
pub(in crate::client) const OF_KIND: Route = Route::own(
    "push_rules_of_kind",
    || Method::GET,
    &[
        "/_matrix/client/v3/pushrules/{scope}/{kind}/",
        "/_matrix/client/v3/pushrules/{scope}/{kind}",
    ],
    Auth::User,
    |call| Box::pin(of_kind(call)),
);
pub(in crate::client) const ONE: Route = Route::own(
    "push_rule",
    || Method::GET,
    super::write::RULE_PATHS,
    Auth::User,
    |call| Box::pin(one(call)),
);
pub(in crate::client) const ATTRIBUTE: Route = Route::own(
    "push_rule_attribute",
    || Method::GET,
    super::write::ATTRIBUTE_PATHS,
    Auth::User,
    |call| Box::pin(attribute(call)),
);

async fn all(call: Call) -> Result<Reply, Error> {
    reply(&rules(&call).await?.content())
}

async fn of_scope(call: Call) -> Result<Reply, Error> {
    check_scope(&call)?;
    require_slash(&call)?;
    reply(&rules(&call).await?.set)
}

async fn of_kind(call: Call) -> Result<Reply, Error> {
    let kind = kind(&call)?;
    require_slash(&call)?;
    reply(&rules(&call).await?.set.of(kind))
}

async fn one(call: Call) -> Result<Reply, Error> {
    let kind = kind(&call)?;
    let rules = rules(&call).await?;
    reply(rule(&rules, kind, &call)?)
}

async fn attribute(call: Call) -> Result<Reply, Error> {
    let kind = kind(&call)?;
    let rules = rules(&call).await?;
    let rule = || rule(&rules, kind, &call);
    match segment(&call, 3) {
        "enabled" => reply(&json!({"enabled": rule()?.enabled})),
        "actions" => reply(&json!({"actions": rule()?.actions})),
        other => Err(Error::invalid_param(format!("a push rule has no `{other}`"))),
    }
}

async fn rules(call: &Call) -> Result<Arc<UserRules>, Error> {
    let requester = call.requester()?;
    Ok(of_user(call.ctx(), requester.user, &requester.user_id).await?)
}

fn rule<'a>(rules: &'a UserRules, kind: Kind, call: &Call) -> Result<&'a Rule, Error> {
    let rule = rules.set.get(kind, segment(call, 2));
    rule.ok_or_else(|| Error::not_found("there is no such push rule"))
}

/// Lists end in a slash.
fn require_slash(call: &Call) -> Result<(), Error> {
    if call.request.uri().path().ends_with('/') {
        return Ok(());
    }
    Err(Error::invalid_param("a list of push rules has a slash at its end"))
}

fn reply(body: &impl Serialize) -> Result<Reply, Error> {
    Ok(json_reply(serde_json::to_vec(body).map_err(Error::internal)?))
}

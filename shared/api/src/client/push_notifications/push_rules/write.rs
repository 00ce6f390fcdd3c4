//! Changing push rules.

use ::http::Method;
use plexus_core::push_rules::NewRule;
use plexus_service::push::rules::{RuleChange, change_rule};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{kind, segment};
use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_body},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(super) const RULE_PATHS: &[&str] = &["/_matrix/client/v3/pushrules/{scope}/{kind}/{rule_id}"];
pub(super) const ATTRIBUTE_PATHS: &[&str] = &["/_matrix/client/v3/pushrules/{scope}/{kind}/{rule_id}/{attribute}"];

pub(in crate::client) const PUT: Route = Route::own(
    "put_push_rule",
    || Method::PUT,
    RULE_PATHS,
    Auth::User,
    |call| Box::pin(put(call)),
);
pub(in crate::client) const DELETE: Route = Route::own(
    "delete_push_rule",
    || Method::DELETE,
    RULE_PATHS,
    Auth::User,
    |call| Box::pin(delete(call)),
);
pub(in crate::client) const SET_ATTRIBUTE: Route = Route::own(
    "set_push_rule_attribute",
    || Method::PUT,
    ATTRIBUTE_PATHS,
    Auth::User,
    |call| Box::pin(set_attribute(call)),
);
/// Paths that name no rule.
pub(in crate::client) const INCOMPLETE: Route = Route::own(
    "put_no_push_rule",
    || Method::PUT,
    &[
        "/_matrix/client/v3/pushrules/",
        "/_matrix/client/v3/pushrules/{scope}",
        "/_matrix/client/v3/pushrules/{scope}/",
        "/_matrix/client/v3/pushrules/{scope}/{kind}",
        "/_matrix/client/v3/pushrules/{scope}/{kind}/",
    ],
    Auth::User,
    |_| Box::pin(async { Err(Error::invalid_param("the path names no push rule")) }),
);

async fn put(call: Call) -> Result<Reply, Error> {
    // For the specification's errors; the master reads what the client wrote.
    let _: NewRule = parse_body(&call)?;
    let rule: Box<RawValue> = parse_body(&call)?;
    let query = Query::parse(call.query())?;
    let anchor = |name: &str| query.get(name).map(str::to_owned);
    let change = RuleChange::Put {
        rule,
        before: anchor("before"),
        after: anchor("after"),
    };
    change_one(&call, change).await
}

async fn delete(call: Call) -> Result<Reply, Error> {
    change_one(&call, RuleChange::Delete).await
}

#[derive(Deserialize)]
struct Enabled {
    enabled: bool,
}

#[derive(Deserialize)]
struct Actions {
    actions: Vec<Value>,
}

async fn set_attribute(call: Call) -> Result<Reply, Error> {
    let change = match segment(&call, 3) {
        "enabled" => RuleChange::SetEnabled(parse_body::<Enabled>(&call)?.enabled),
        "actions" => RuleChange::SetActions(parse_body::<Actions>(&call)?.actions),
        other => return Err(Error::invalid_param(format!("a push rule has no `{other}`"))),
    };
    change_one(&call, change).await
}

async fn change_one(call: &Call, change: RuleChange) -> Result<Reply, Error> {
    let kind = kind(call)?;
    change_rule(call.ctx(), call.requester()?, kind, segment(call, 2), change).await?;
    Ok(json_reply("{}"))
}

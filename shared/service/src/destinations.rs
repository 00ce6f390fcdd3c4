//! What an administrator sees of the servers that this one sends to.

use std::{cmp::Ordering, collections::BTreeMap};

use plexus_core::position::Sequence;
use plexus_storage::destinations::Failing;
use ruma::{OwnedServerName, ServerName};
use serde_json::{Value, json};

use crate::{Ctx, Requester, ServiceError, error::Refusal};

/// Most servers that are looked through.
const SERVERS_MAX: usize = 100_000;
/// Servers on one page of the database's.
const SERVERS_PER_PAGE: i64 = 1_000;
/// Servers or rooms in one answer, if nothing is said.
const LIMIT_DEFAULT: usize = 100;
/// Most of them.
const LIMIT_MAX: usize = 1_000;

/// By what a list is in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderBy {
    /// The name.
    #[default]
    Destination,
    /// When it was last tried in vain.
    RetryLast,
    /// How long it is left alone.
    RetryInterval,
    /// Since when it does not answer.
    Failure,
    /// How far it has been told.
    LastSuccess,
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// How many are passed over.
    pub from: usize,
    /// How many are wanted.
    pub limit: Option<usize>,
    /// The last come first.
    pub backward: bool,
}

impl Page {
    /// The part of a list that is wanted, and where the next one begins.
    fn of<T>(&self, mut all: Vec<T>) -> (Vec<T>, Option<String>) {
        if self.backward {
            all.reverse();
        }
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
        let total = all.len();
        let page: Vec<T> = all.into_iter().skip(self.from).take(limit).collect();
        let next = self.from + page.len();
        (page, (next < total).then(|| next.to_string()))
    }
}

/// A server as an administrator sees it.
#[derive(Clone, Debug)]
struct Destination {
    server: OwnedServerName,
    failing: Option<Failing>,
    told: Option<Sequence>,
}

impl Destination {
    fn shown(&self) -> Value {
        let last = self
            .failing
            .map_or(0, |failing| failing.retry_at_ms - failing.interval_ms);
        json!({
            "destination": self.server,
            "retry_last_ts": last,
            "retry_interval": self.failing.map_or(0, |failing| failing.interval_ms),
            "failure_ts": self.failing.map(|failing| failing.since_ms),
            "last_successful_stream_ordering": self.told,
        })
    }

    fn compare(&self, other: &Self, by: OrderBy) -> Ordering {
        let key = |one: &Self| match by {
            OrderBy::Destination => None,
            OrderBy::RetryLast => one.failing.map(|failing| failing.retry_at_ms - failing.interval_ms),
            OrderBy::RetryInterval => one.failing.map(|failing| failing.interval_ms),
            OrderBy::Failure => one.failing.map(|failing| failing.since_ms),
            OrderBy::LastSuccess => one.told,
        };
        key(self).cmp(&key(other)).then_with(|| self.server.cmp(&other.server))
    }
}

/// The servers that are known; those whose name has `name` in it, if that is given.
pub async fn list_destinations(
    ctx: &Ctx,
    requester: &Requester,
    name: Option<&str>,
    by: OrderBy,
    page: &Page,
) -> Result<Value, ServiceError> {
    require_admin(requester)?;
    let mut all = destinations(ctx).await?;
    if let Some(name) = name {
        all.retain(|destination| destination.server.as_str().contains(name));
    }
    all.sort_by(|one, other| one.compare(other, by));
    let total = all.len();
    let (page, next) = page.of(all);
    let shown: Vec<Value> = page.iter().map(Destination::shown).collect();
    let mut answer = json!({"destinations": shown, "total": total});
    if let Some(next) = next {
        answer["next_token"] = json!(next);
    }
    Ok(answer)
}

/// One of them.
pub async fn get_destination(ctx: &Ctx, requester: &Requester, server: &ServerName) -> Result<Value, ServiceError> {
    require_admin(requester)?;
    Ok(require_known(ctx, server).await?.shown())
}

/// The rooms that a server is in, each with the place of the newest event that this one has sent there.
pub async fn rooms_of_destination(
    ctx: &Ctx,
    requester: &Requester,
    server: &ServerName,
    page: &Page,
) -> Result<Value, ServiceError> {
    require_admin(requester)?;
    require_known(ctx, server).await?;
    let mut rooms = Vec::new();
    for room in ctx.store.rooms_of_server(server).await? {
        if ctx.store.room_servers(room).await?.contains(server)
            && let Some(info) = ctx.store.room_by_nid(room).await?
        {
            rooms.push(info);
        }
    }
    rooms.sort_by(|one, other| one.id.cmp(&other.id));
    let total = rooms.len();
    let (page, next) = page.of(rooms);
    let mut shown = Vec::with_capacity(page.len());
    for room in page {
        let newest = ctx.store.outgoing_events(room.nid, 0, Sequence::MAX, 1).await?;
        let place = newest.first().map_or(0, |(position, _)| *position);
        shown.push(json!({"room_id": room.id, "stream_ordering": place}));
    }
    let mut answer = json!({"rooms": shown, "total": total});
    if let Some(next) = next {
        answer["next_token"] = json!(next);
    }
    Ok(answer)
}

/// Has a server that does not answer tried again at once.
pub async fn reset_destination(ctx: &Ctx, requester: &Requester, server: &ServerName) -> Result<(), ServiceError> {
    require_admin(requester)?;
    if require_known(ctx, server).await?.failing.is_none() {
        return Err(ServiceError::refused(
            Refusal::InvalidParam,
            "the server answers as far as is known: there is nothing to be reset",
        ));
    }
    ctx.store.forget_failing_destination(server).await?;
    ctx.federation.destinations().look_again(server);
    Ok(())
}

async fn require_known(ctx: &Ctx, server: &ServerName) -> Result<Destination, ServiceError> {
    let found = destinations(ctx).await?;
    let found = found.into_iter().find(|destination| destination.server == server);
    found.ok_or_else(|| ServiceError::not_found("nothing is known of this server"))
}

/// Every server whose users are known here, or that was asked something in vain.
async fn destinations(ctx: &Ctx) -> Result<Vec<Destination>, ServiceError> {
    let limit = i64::try_from(SERVERS_MAX).unwrap_or(i64::MAX);
    let mut all: BTreeMap<OwnedServerName, Destination> = BTreeMap::new();
    let fresh = |server: &OwnedServerName| Destination {
        server: server.clone(),
        failing: None,
        told: None,
    };
    let mut after: Option<OwnedServerName> = None;
    while all.len() < SERVERS_MAX {
        let page = ctx.store.known_servers(after.as_deref(), SERVERS_PER_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        let others = page.iter().filter(|server| **server != ctx.config.server_name);
        all.extend(others.map(|server| (server.clone(), fresh(server))));
    }
    for (server, failing) in ctx.store.failing_destinations(limit).await? {
        all.entry(server.clone()).or_insert_with(|| fresh(&server)).failing = Some(failing);
    }
    for lag in ctx.store.all_delivery_lags(limit).await? {
        all.entry(lag.server.clone()).or_insert_with(|| fresh(&lag.server)).told = Some(lag.since);
    }
    Ok(all.into_values().collect())
}

fn require_admin(requester: &Requester) -> Result<(), ServiceError> {
    if requester.admin {
        return Ok(());
    }
    Err(ServiceError::forbidden("only a server administrator may do this"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_shown_page_by_page() {
        let page = |from, limit, backward| Page { from, limit, backward }.of(vec![1, 2, 3]);
        assert_eq!(page(0, Some(2), false), (vec![1, 2], Some("2".to_owned())));
        assert_eq!(page(2, Some(2), false), (vec![3], None));
        assert_eq!(page(0, Some(1), true), (vec![3], Some("1".to_owned())));
        assert_eq!(page(9, None, false), (vec![], None));
    }

    #[test]
    fn those_that_answer_come_before_those_that_do_not() {
        let destination = |name: &str, since_ms: Option<i64>| Destination {
            server: ServerName::parse(name).expect("a name"),
            failing: since_ms.map(|since_ms| Failing {
                since_ms,
                retry_at_ms: 100,
                interval_ms: 10,
            }),
            told: None,
        };
        let (fine, bad, worse) = (
            destination("z.example", None),
            destination("b.example", Some(5)),
            destination("a.example", Some(3)),
        );
        let mut all = [bad.clone(), worse.clone(), fine.clone()];
        all.sort_by(|one, other| one.compare(other, OrderBy::Failure));
        let order: Vec<&str> = all.iter().map(|destination| destination.server.as_str()).collect();
        assert_eq!(order, ["z.example", "a.example", "b.example"]);
        assert_eq!(bad.shown()["retry_last_ts"], 90);
        assert_eq!(fine.shown()["failure_ts"], Value::Null);
    }
}

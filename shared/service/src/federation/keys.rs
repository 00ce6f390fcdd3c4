//! Keys of users of other servers: what is kept of them, and what their servers are asked.

use std::{
    collections::{BTreeMap, HashSet},
    future::Future,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use plexus_core::ids::UserNid;
use plexus_federation::{
    queries::{ClaimedKeys, KeysOfUsers, KeysToClaim, KeysWanted},
    rooms::FetchError,
};
use ruma::{OwnedServerName, OwnedUserId, UserId};
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::{Instant, timeout_at};

use super::device_lists::{current, fetch, is_own_key};
use crate::{Ctx, ServiceError};

/// How long others are waited for if the client does not say.
pub const WAIT_DEFAULT: Duration = Duration::from_secs(10);
/// Longest time that others are waited for.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Most lists of devices that one question makes this server ask for; of more users the keys are asked for and not kept.
const LISTS_MAX: usize = 50;
/// Requests of one question that are under way at the same time.
const REQUESTS_AT_ONCE: usize = 10;
/// Users that are looked up at a time.
const USERS_AT_ONCE: usize = 500;

/// A user whose keys are kept here, and the devices wanted of him.
pub type Kept = (UserNid, OwnedUserId, Vec<String>);

/// What is known of users of other servers.
#[derive(Debug, Default)]
pub struct Elsewhere {
    /// Users whose keys are kept here.
    pub kept: Vec<Kept>,
    /// What other servers have said.
    pub told: Vec<Told>,
    /// Servers that could not be asked.
    pub failures: Vec<OwnedServerName>,
}

/// What a user's server has said of his keys.
#[derive(Debug)]
pub struct Told {
    /// Whose.
    pub user_id: OwnedUserId,
    /// By device.
    pub devices: BTreeMap<String, Box<RawValue>>,
    /// His master key.
    pub master: Option<Box<RawValue>>,
    /// The key he signs his devices with.
    pub self_signing: Option<Box<RawValue>>,
}

/// Finds out the keys of users of other servers: from their lists as far as these are current, and by asking their servers.
pub async fn find_keys(ctx: &Ctx, wanted: KeysWanted, wait: Duration) -> Result<Elsewhere, ServiceError> {
    let deadline = Instant::now() + wait.min(WAIT_MAX);
    let mut found = Elsewhere::default();
    let (mut listable, mut others) = (Vec::new(), BTreeMap::<OwnedServerName, KeysWanted>::new());
    let wanted: Vec<(OwnedUserId, Vec<String>)> = wanted.into_iter().collect();
    for batch in wanted.chunks(USERS_AT_ONCE) {
        let mut users = Vec::with_capacity(batch.len());
        for (user_id, _) in batch {
            users.push(ctx.store.user_nid(user_id).await?);
        }
        let known: Vec<UserNid> = users.iter().flatten().copied().collect();
        let (current, possible) = current(ctx, &known).await?;
        for ((user_id, devices), user) in batch.iter().cloned().zip(users) {
            let is_in = |set: &HashSet<UserNid>| user.is_some_and(|user| set.contains(&user));
            match user {
                Some(user) if is_in(&current) => found.kept.push((user, user_id, devices)),
                Some(user) if is_in(&possible) && listable.len() < LISTS_MAX => listable.push((user, user_id, devices)),
                _ => {
                    let of_server = others.entry(user_id.server_name().to_owned()).or_default();
                    of_server.insert(user_id, devices);
                }
            }
        }
    }
    let lists = stream::iter(listable)
        .map(|(user, user_id, devices)| async move {
            let fetched = timeout_at(deadline, fetch(ctx, &user_id)).await;
            (fetched == Ok(true), (user, user_id, devices))
        })
        .buffer_unordered(REQUESTS_AT_ONCE);
    let answers = stream::iter(others)
        .map(|(server, wanted)| async move {
            let answer = in_time(deadline, ctx.federation.fetch_keys(&server, &wanted)).await;
            (server, wanted, answer)
        })
        .buffer_unordered(REQUESTS_AT_ONCE);
    let (lists, answers) = futures_util::join!(lists.collect::<Vec<_>>(), answers.collect::<Vec<_>>());
    for (is_kept, kept) in lists {
        if is_kept {
            found.kept.push(kept);
        } else {
            fail(&mut found.failures, kept.1.server_name().to_owned());
        }
    }
    for (server, wanted, answer) in answers {
        match answer {
            Some(answer) => found.told.extend(believe(&wanted, answer)),
            None => fail(&mut found.failures, server),
        }
    }
    Ok(found)
}

/// What of an answer is said of those who were asked for.
fn believe(wanted: &KeysWanted, mut answer: KeysOfUsers) -> Vec<Told> {
    let mut told = Vec::new();
    for (user_id, devices) in wanted {
        let mut of_user = answer.device_keys.remove(user_id.as_str()).unwrap_or_default();
        of_user.retain(|id, key| {
            let is_wanted = devices.is_empty() || devices.contains(id);
            is_wanted && is_own_key(key, user_id, Some(id))
        });
        told.push(Told {
            user_id: user_id.clone(),
            devices: of_user,
            master: answer
                .master_keys
                .remove(user_id.as_str())
                .filter(|key| is_own_key(key, user_id, None)),
            self_signing: answer
                .self_signing_keys
                .remove(user_id.as_str())
                .filter(|key| is_own_key(key, user_id, None)),
        });
    }
    told
}

/// Keys that were taken, by user; and the servers that could not be asked.
pub type Taken = (BTreeMap<OwnedUserId, Box<RawValue>>, Vec<OwnedServerName>);

/// Takes keys of devices of users of other servers.
pub async fn take_keys(ctx: &Ctx, wanted: KeysToClaim, wait: Duration) -> Result<Taken, ServiceError> {
    let deadline = Instant::now() + wait.min(WAIT_MAX);
    let mut by_server: BTreeMap<OwnedServerName, KeysToClaim> = BTreeMap::new();
    for (user_id, devices) in wanted {
        let of_server = by_server.entry(user_id.server_name().to_owned()).or_default();
        of_server.insert(user_id, devices);
    }
    let answers = stream::iter(by_server)
        .map(|(server, wanted)| async move {
            let answer = in_time(deadline, ctx.federation.fetch_one_time_keys(&server, &wanted)).await;
            (server, wanted, answer)
        })
        .buffer_unordered(REQUESTS_AT_ONCE);
    let (mut taken, mut failures) = (BTreeMap::new(), Vec::new());
    for (server, wanted, answer) in answers.collect::<Vec<_>>().await {
        let Some(mut answer) = answer else {
            fail(&mut failures, server);
            continue;
        };
        for (user_id, devices) in wanted {
            let keys = believe_claimed(&user_id, &devices, &mut answer);
            if !keys.is_empty() {
                taken.insert(user_id, to_raw_value(&keys).map_err(ServiceError::internal)?);
            }
        }
    }
    Ok((taken, failures))
}

/// The keys that were asked for: of each device one, of the algorithm that is wanted.
fn believe_claimed(
    user_id: &UserId,
    wanted: &BTreeMap<String, String>,
    answer: &mut ClaimedKeys,
) -> BTreeMap<String, BTreeMap<String, Box<RawValue>>> {
    let mut devices = answer.remove(user_id.as_str()).unwrap_or_default();
    devices.retain(|device_id, keys| {
        let algorithm = wanted.get(device_id);
        keys.retain(|name, key| {
            let is_wanted = name.split_once(':').map(|(algorithm, _)| algorithm) == algorithm.map(String::as_str);
            is_wanted && (key.get().starts_with('"') || is_own_key(key, user_id, None))
        });
        !keys.is_empty()
    });
    devices
}

/// An answer that comes in time; none is no answer, for whatever reason.
async fn in_time<T>(deadline: Instant, asking: impl Future<Output = Result<T, FetchError>>) -> Option<T> {
    match timeout_at(deadline, asking).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::debug!(%error, "keys of another server cannot be had");
            None
        }
        Err(_) => None,
    }
}

fn fail(failures: &mut Vec<OwnedServerName>, server: OwnedServerName) {
    if !failures.contains(&server) {
        failures.push(server);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_answer_counts_for_those_it_was_asked_about() {
        let wanted: KeysWanted = serde_json::from_value(json!({"@a:there": ["ONE"], "@b:there": []})).expect("wanted");
        let answer = json!({
            "device_keys": {
                "@a:there": {"ONE": {"device_id": "ONE"}, "TWO": {}},
                "@b:there": {"ONE": {"device_id": "TWO"}, "TWO": {"user_id": "@a:there"}, "THREE": {}},
                "@c:there": {"ONE": {}},
                "@d:here": {"ONE": {}},
            },
            "master_keys": {"@a:there": {"user_id": "@d:here"}, "@b:there": {}, "@d:here": {}},
        });
        let told = believe(&wanted, serde_json::from_value(answer).expect("an answer"));
        let shown: Vec<(&str, Vec<&str>, bool)> = told
            .iter()
            .map(|told| {
                let devices = told.devices.keys().map(String::as_str).collect();
                (told.user_id.as_str(), devices, told.master.is_some())
            })
            .collect();
        assert_eq!(
            shown,
            [("@a:there", vec!["ONE"], false), ("@b:there", vec!["THREE"], true)]
        );
    }

    #[test]
    fn keys_that_were_not_asked_for_are_not_taken() {
        let user_id = ruma::user_id!("@a:there");
        let wanted = BTreeMap::from([("ONE".to_owned(), "signed_curve25519".to_owned())]);
        let answer: Value = json!({
            "@a:there": {
                "ONE": {"signed_curve25519:A": {"key": "x"}, "curve25519:B": "y", "signed_curve25519:C": {"user_id": "@b:x"}},
                "TWO": {"signed_curve25519:A": {"key": "x"}},
            },
            "@b:there": {"ONE": {"signed_curve25519:A": {"key": "x"}}},
        });
        let mut answer = serde_json::from_value(answer).expect("an answer");
        let taken = believe_claimed(user_id, &wanted, &mut answer);
        let taken = serde_json::to_value(taken).expect("JSON");
        assert_eq!(taken, json!({"ONE": {"signed_curve25519:A": {"key": "x"}}}));
    }
}

//! Taking one-time keys of other devices.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::{join, try_join_all};
use plexus_proto::{self as proto, command::Kind};
use ruma::{OwnedServerName, OwnedUserId};
use serde_json::value::RawValue;

use super::limits::check_name;
use crate::{
    Ctx, ServiceError,
    error::Refusal,
    federation::{device_lists::is_remote, keys::take_keys},
    ids::new_command,
};

/// Most devices whose keys one request takes.
const DEVICES_MAX: usize = 10_000;

/// Users whose lanes are asked at the same time.
const AT_ONCE: usize = 16;

/// Of each user, for each device, the algorithm a key is wanted of.
pub type Wanted = BTreeMap<OwnedUserId, BTreeMap<String, String>>;

/// What was taken, and the servers that could not be asked.
#[derive(Debug, Default)]
pub struct Claimed {
    /// By user, the master's answer: keys by device.
    pub one_time_keys: BTreeMap<OwnedUserId, Box<RawValue>>,
    pub unreachable: Vec<OwnedServerName>,
}

/// Takes a key of each device, where there is one. Nobody else gets it. Other servers are waited for as long as `wait`.
pub async fn claim_keys(ctx: &Ctx, wanted: Wanted, wait: Duration) -> Result<Claimed, ServiceError> {
    check_count(&wanted)?;
    let (elsewhere, wanted): (Wanted, Wanted) = wanted.into_iter().partition(|(user_id, _)| is_remote(ctx, user_id));
    let (here, elsewhere) = join(claim_keys_here(ctx, wanted), take_keys(ctx, elsewhere, wait)).await;
    let (mut one_time_keys, (taken, unreachable)) = (here?, elsewhere?);
    one_time_keys.extend(taken);
    Ok(Claimed {
        one_time_keys,
        unreachable,
    })
}

/// The same of devices of this server.
pub async fn claim_keys_here(ctx: &Ctx, wanted: Wanted) -> Result<BTreeMap<OwnedUserId, Box<RawValue>>, ServiceError> {
    check_count(&wanted)?;
    let mut claimed = BTreeMap::new();
    let wanted: Vec<_> = wanted.into_iter().collect();
    for chunk in wanted.chunks(AT_ONCE) {
        let asked = chunk
            .iter()
            .map(|(user_id, devices)| claim_of_user(ctx, user_id, devices));
        let answers = try_join_all(asked).await?;
        for ((user_id, _), keys) in chunk.iter().zip(answers) {
            if keys.get() != "{}" {
                claimed.insert(user_id.clone(), keys);
            }
        }
    }
    Ok(claimed)
}

fn check_count(wanted: &Wanted) -> Result<(), ServiceError> {
    if wanted.values().map(BTreeMap::len).sum::<usize>() > DEVICES_MAX {
        return Err(ServiceError::refused(
            Refusal::TooLarge,
            format!("one request takes keys of {DEVICES_MAX} devices at most"),
        ));
    }
    Ok(())
}

async fn claim_of_user(
    ctx: &Ctx,
    user_id: &OwnedUserId,
    devices: &BTreeMap<String, String>,
) -> Result<Box<RawValue>, ServiceError> {
    let mut wanted = Vec::with_capacity(devices.len());
    for (device_id, algorithm) in devices {
        check_name("a device id", device_id)?;
        check_name("an algorithm", algorithm)?;
        wanted.push(proto::WantedKey {
            device_id: device_id.clone(),
            algorithm: algorithm.clone(),
        });
    }
    let command = proto::ClaimKeys {
        user_id: user_id.to_string(),
        wanted,
    };
    let result = ctx.replica.run(new_command(Kind::ClaimKeys(command))).await?;
    let json = result
        .json
        .ok_or_else(|| ServiceError::internal("the master named no keys"))?;
    serde_json::from_slice(&json).map_err(ServiceError::internal)
}

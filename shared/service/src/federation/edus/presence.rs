//! Who is there.

use plexus_core::row::{Membership, PresenceState};
use plexus_proto::{self as proto, command::Kind};
use ruma::{OwnedUserId, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{PassedOver, Taken, count, own, parse};
use crate::{Ctx, ServiceError, federation::is_resident, ids::new_command, presence::parse_state};

/// Users of one EDU that are looked at.
const USERS_MAX: usize = 500;
/// Largest status message that is kept, in bytes.
const STATUS_BYTES_MAX: usize = 256;

#[derive(Debug, Deserialize)]
struct Presence {
    push: Vec<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct Push {
    user_id: OwnedUserId,
    presence: String,
    status_msg: Option<String>,
    #[serde(default)]
    last_active_ago: i64,
    #[serde(default)]
    currently_active: bool,
}

pub(super) async fn receive(ctx: &Ctx, origin: &ServerName, content: &RawValue) -> Result<(), ServiceError> {
    if !ctx.config.social.presence {
        return Ok(());
    }
    let pushed: Presence = match parse(content) {
        Ok(pushed) => pushed,
        Err(why) => {
            count("m.presence", Err(why));
            return Ok(());
        }
    };
    let mut users = Vec::new();
    for (index, push) in pushed.push.iter().enumerate() {
        let taken = if index >= USERS_MAX || !ctx.inbound.budgets.take(origin, ctx.clock.now_ms()) {
            Err(PassedOver::TooMuch)
        } else {
            read(ctx, origin, push).await?
        };
        count("m.presence", taken.as_ref().map(|_| ()).map_err(|why| *why));
        users.extend(taken);
    }
    if !users.is_empty() {
        let command = Kind::SetRemotePresence(proto::SetRemotePresence { users });
        ctx.replica.run(new_command(command)).await?;
    }
    Ok(())
}

async fn read(
    ctx: &Ctx,
    origin: &ServerName,
    push: &RawValue,
) -> Result<Result<proto::RemotePresence, PassedOver>, ServiceError> {
    let push: Push = match parse(push) {
        Ok(push) => push,
        Err(why) => return Ok(Err(why)),
    };
    let Some(state) = parse_state(&push.presence) else {
        return Ok(Err(PassedOver::Malformed));
    };
    if let Err(why) = known(ctx, origin, &push.user_id).await? {
        return Ok(Err(why));
    }
    let now_ms = ctx.clock.now_ms();
    let status_msg = push.status_msg.filter(|text| text.len() <= STATUS_BYTES_MAX);
    Ok(Ok(proto::RemotePresence {
        user_id: push.user_id.into(),
        state: state.code(),
        status_msg,
        last_active_ms: now_ms.saturating_sub(push.last_active_ago.max(0)).max(0),
        currently_active: push.currently_active && state == PresenceState::Online,
    }))
}

/// Whether it is the server's own user, and somebody of ours is in a room with him.
async fn known(ctx: &Ctx, origin: &ServerName, user_id: &OwnedUserId) -> Result<Taken, ServiceError> {
    if let Err(why) = own(origin, user_id) {
        return Ok(Err(why));
    }
    let Some(user) = ctx.store.user_nid(user_id).await? else {
        return Ok(Err(PassedOver::NotTheirs));
    };
    for (room, _) in ctx.store.user_rooms(user).await?.with(Membership::Join) {
        if is_resident(ctx, room).await? {
            return Ok(Ok(()));
        }
    }
    Ok(Err(PassedOver::NotTheirs))
}

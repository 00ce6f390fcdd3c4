//! Who types.

use plexus_proto::{self as proto, command::Kind};
use ruma::{OwnedRoomId, OwnedUserId, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{PassedOver, Taken, count, is_heard_in, own, parse};
use crate::{Ctx, ServiceError, ids::new_command};

/// How long somebody types whose server does not say that he has stopped: a little longer than servers take to say it again.
const TYPING_MS: u32 = 60_000;

#[derive(Debug, Deserialize)]
struct Content {
    room_id: OwnedRoomId,
    user_id: OwnedUserId,
    #[serde(rename = "typing")]
    is_going_on: bool,
}

pub(super) async fn receive(ctx: &Ctx, origin: &ServerName, content: &RawValue) -> Result<(), ServiceError> {
    let taken = take(ctx, origin, content).await?;
    count("m.typing", taken);
    Ok(())
}

async fn take(ctx: &Ctx, origin: &ServerName, content: &RawValue) -> Result<Taken, ServiceError> {
    let typing: Content = match parse(content) {
        Ok(typing) => typing,
        Err(why) => return Ok(Err(why)),
    };
    if let Err(why) = own(origin, &typing.user_id) {
        return Ok(Err(why));
    }
    if !is_heard_in(ctx, origin, &typing.room_id).await? {
        return Ok(Err(PassedOver::NotTheirs));
    }
    if !ctx.inbound.budgets.take(origin, ctx.clock.now_ms()) {
        return Ok(Err(PassedOver::TooMuch));
    }
    let command = proto::SetTyping {
        room_id: typing.room_id.to_string(),
        user_id: typing.user_id.to_string(),
        timeout_ms: if typing.is_going_on { TYPING_MS } else { 0 },
    };
    super::told(ctx.replica.run(new_command(Kind::SetTyping(command))).await)
}

//! Who has read what.

use std::collections::BTreeMap;

use plexus_core::row::ReceiptKind;
use plexus_proto::{self as proto, command::Kind};
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{PassedOver, Taken, count, is_heard_in, own, parse};
use crate::{Ctx, ServiceError, ids::new_command};

/// Receipts of one EDU that are looked at.
const RECEIPTS_MAX: usize = 500;

/// By room, kind and user.
type Receipts = BTreeMap<OwnedRoomId, BTreeMap<String, BTreeMap<OwnedUserId, Box<RawValue>>>>;

#[derive(Debug, Deserialize)]
struct Receipt {
    event_ids: Vec<OwnedEventId>,
    #[serde(default)]
    data: Data,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data {
    ts: Option<i64>,
    thread_id: Option<String>,
}

pub(super) async fn receive(ctx: &Ctx, origin: &ServerName, content: &RawValue) -> Result<(), ServiceError> {
    let receipts: Receipts = match parse(content) {
        Ok(receipts) => receipts,
        Err(why) => {
            count("m.receipt", Err(why));
            return Ok(());
        }
    };
    let mut left = RECEIPTS_MAX;
    for (room_id, mut kinds) in receipts {
        // Private ones are not told to other servers.
        let Some(read) = kinds.remove("m.read") else {
            continue;
        };
        let is_heard = is_heard_in(ctx, origin, &room_id).await?;
        for (user_id, receipt) in read {
            let taken = if !is_heard {
                Err(PassedOver::NotTheirs)
            } else if left == 0 || !ctx.inbound.budgets.take(origin, ctx.clock.now_ms()) {
                Err(PassedOver::TooMuch)
            } else {
                left -= 1;
                take(ctx, origin, &room_id, (&user_id, &receipt)).await?
            };
            count("m.receipt", taken);
        }
    }
    Ok(())
}

async fn take(
    ctx: &Ctx,
    origin: &ServerName,
    room_id: &RoomId,
    (user_id, receipt): (&UserId, &RawValue),
) -> Result<Taken, ServiceError> {
    let receipt: Receipt = match own(origin, user_id).and_then(|()| parse(receipt)) {
        Ok(receipt) => receipt,
        Err(why) => return Ok(Err(why)),
    };
    let thread = receipt.data.thread_id;
    let is_thread = |thread: &str| thread == "main" || (EventId::parse(thread).is_ok() && !thread.contains('\0'));
    let ([event_id], true) = (&*receipt.event_ids, thread.as_deref().is_none_or(is_thread)) else {
        return Ok(Err(PassedOver::Malformed));
    };
    let now_ms = ctx.clock.now_ms();
    let command = proto::SetReceipt {
        room_id: room_id.to_string(),
        user_id: user_id.to_string(),
        kind: ReceiptKind::Read.code(),
        thread,
        event_id: event_id.to_string(),
        // Nobody has read anything yet that he will only read tomorrow.
        ts_ms: receipt.data.ts.map(|ts| ts.clamp(0, now_ms)),
    };
    super::told(ctx.replica.run(new_command(Kind::SetReceipt(command))).await)
}

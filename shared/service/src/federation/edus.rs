//! What is told beside events: who types, who has read what, who is there, messages to devices, changes of keys.
//!
//! A server tells only of its own users, and of rooms only what its access control list allows. What makes no sense is passed over, and counted: the
//! transaction goes on. Who tells too much that lasts only for a moment is not listened to for a while; what has to arrive has no such limit, but each
//! transaction has one.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#edus>

mod budget;
mod presence;
mod receipts;
mod to_device;
mod typing;

use metrics::counter;
use plexus_proto::CommandResult;
use plexus_replication::MasterError;
use ruma::{RoomId, ServerName, UserId};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

pub(super) use self::budget::Budgets;
use super::{acl, device_lists};
use crate::{Ctx, ServiceError};

/// What other servers told beside events, by its kind and what became of it.
const EDUS_TOTAL: &str = "plexus_federation_received_edus_total";

#[derive(Debug, Deserialize)]
struct Edu<'a> {
    edu_type: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// Why something is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PassedOver {
    /// It is not what it should be.
    Malformed,
    /// It is about somebody or something that the server has no say in.
    NotTheirs,
    /// It is too much at once.
    TooMuch,
}

/// What became of an EDU, or of a part of it.
type Taken = Result<(), PassedOver>;

/// Takes the other messages of a transaction. An error means that something which has to arrive has not.
pub(super) async fn receive(
    ctx: &Ctx,
    origin: &ServerName,
    transaction_id: &str,
    edus: &[&RawValue],
) -> Result<(), ServiceError> {
    for (index, edu) in edus.iter().enumerate() {
        let Ok(Edu { edu_type, content }) = serde_json::from_str(edu.get()) else {
            count("malformed", Err(PassedOver::Malformed));
            continue;
        };
        match edu_type.as_str() {
            "m.typing" => lasting_a_moment(typing::receive(ctx, origin, content).await)?,
            "m.receipt" => lasting_a_moment(receipts::receive(ctx, origin, content).await)?,
            "m.presence" => lasting_a_moment(presence::receive(ctx, origin, content).await)?,
            "m.direct_to_device" => to_device::receive(ctx, origin, (transaction_id, index), content).await?,
            "m.device_list_update" => must_arrive(device_lists::on_update(ctx, origin, content).await)?,
            "m.signing_key_update" => must_arrive(device_lists::on_signing_key_update(ctx, origin, content).await)?,
            _ => count("unknown", Ok(())),
        }
    }
    Ok(())
}

/// What is worth nothing later is not waited for, but for a database that is away.
fn lasting_a_moment(outcome: Result<(), ServiceError>) -> Result<(), ServiceError> {
    match outcome {
        Err(error @ ServiceError::Internal(_)) => Err(error),
        Err(error) => {
            tracing::debug!(%error, "something that lasts only for a moment is lost");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// What the master refuses, it refuses again; anything else may go well later.
fn must_arrive(outcome: Result<(), ServiceError>) -> Result<(), ServiceError> {
    match outcome {
        Err(ServiceError::Matrix { status, error, .. }) if status < 500 => {
            tracing::info!(error, "something that a server tells is refused");
            Ok(())
        }
        Err(ServiceError::Refused { message, .. }) => {
            tracing::info!(error = message, "something that a server tells is refused");
            Ok(())
        }
        other => other,
    }
}

/// What became of a Command: it is refused if the user is not in the room, or the event not here.
fn told(done: Result<CommandResult, MasterError>) -> Result<Taken, ServiceError> {
    match done {
        Ok(_) => Ok(Ok(())),
        Err(MasterError::Matrix { status, .. }) if status < 500 => Ok(Err(PassedOver::NotTheirs)),
        Err(error) => Err(error.into()),
    }
}

fn count(kind: &'static str, taken: Taken) {
    let outcome = match taken {
        Ok(()) => "taken",
        Err(PassedOver::Malformed) => "malformed",
        Err(PassedOver::NotTheirs) => "not_theirs",
        Err(PassedOver::TooMuch) => "too_much",
    };
    counter!(EDUS_TOTAL, "kind" => kind, "outcome" => outcome).increment(1);
}

fn parse<T: DeserializeOwned>(content: &RawValue) -> Result<T, PassedOver> {
    serde_json::from_str(content.get()).map_err(|_| PassedOver::Malformed)
}

fn own(origin: &ServerName, user_id: &UserId) -> Taken {
    if user_id.server_name() == origin {
        Ok(())
    } else {
        Err(PassedOver::NotTheirs)
    }
}

/// Whether the server may say something in the room, and anybody of ours hears it.
async fn is_heard_in(ctx: &Ctx, origin: &ServerName, room_id: &RoomId) -> Result<bool, ServiceError> {
    let Some(room) = ctx.store.room(room_id).await? else {
        return Ok(false);
    };
    let servers = ctx.store.room_servers(room.nid).await?;
    Ok(
        servers.contains(&ctx.config.server_name)
            && servers.contains(origin)
            && acl::allows(ctx, &room, origin).await?,
    )
}

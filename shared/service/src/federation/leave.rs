//! Out of rooms that this server is not in: invites refused, knocks taken back.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites>

use std::time::Duration;

use plexus_core::{
    event::{EventBody, Legacy, NewEvent},
    room_version::RoomVersion,
};
use plexus_federation::rooms::Step;
use ruma::{EventId, OwnedEventId, OwnedServerName, ServerName};
use serde_json::value::to_raw_value;
use tokio::time::{Instant, timeout_at};

use super::{
    member_event::{Wanted, propose},
    membership::see_through,
    outside::keep,
};
use crate::{Ctx, ServiceError, ids::random_text};

/// How long others are asked. The user is out of the room then, whether they know it or not.
const PATIENCE: Duration = Duration::from_secs(15);
/// Random characters of the id of an event in room versions whose ids are chosen.
const EVENT_ID_CHARS: usize = 18;

/// A user of this server who wants nothing to do with a room.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    pub(super) wanted: Wanted,
    /// The room's version, as this server knows it.
    pub(super) version: RoomVersion,
    /// The member event that made him something to the room.
    pub(super) member: EventBody,
}

/// Leaves by one of these servers; if none of them helps, this server alone knows of it.
pub(super) async fn leave(
    ctx: &Ctx,
    leaving: Leaving,
    servers: Vec<OwnedServerName>,
) -> Result<OwnedEventId, ServiceError> {
    let own = ctx.clone();
    see_through(ctx, async move {
        let until = Instant::now() + PATIENCE;
        for server in servers {
            match timeout_at(until, leave_by(&own, &server, &leaving.wanted)).await {
                Ok(Ok(event)) => return keep(&own, leaving.version, &event, None).await,
                Ok(Err(error)) => {
                    let room_id = &leaving.wanted.room_id;
                    tracing::info!(room.id = %room_id, server.name = %server, %error, "a server does not help to leave");
                }
                Err(_) => break,
            }
        }
        let event = alone(&own, &leaving)?;
        keep(&own, leaving.version, &event, None).await
    })
    .await
}

async fn leave_by(ctx: &Ctx, server: &ServerName, wanted: &Wanted) -> Result<EventBody, ServiceError> {
    let (_, event) = propose(ctx, server, wanted).await?;
    ctx.federation.send_leave(server, &event).await?;
    Ok(event)
}

/// The leave that nobody else hears of: it follows the invite or the knock.
fn alone(ctx: &Ctx, leaving: &Leaving) -> Result<EventBody, ServiceError> {
    let rules = leaving.version.rules();
    let mut content = leaving.wanted.content.clone();
    content.insert("membership".to_owned(), Step::Leave.as_str().into());
    let content = to_raw_value(&content).map_err(ServiceError::internal)?;
    let before = [leaving.member.event_id().to_owned()];
    let hash = leaving.member.reference_hash(rules);
    let event = NewEvent {
        room_id: Some(&leaving.wanted.room_id),
        sender: &leaving.wanted.user_id,
        kind: "m.room.member",
        state_key: Some(leaving.wanted.user_id.as_str()),
        content: &content,
        prev_events: &before,
        auth_events: &before,
        depth: leaving.member.depth().saturating_add(1),
        origin_server_ts: u64::try_from(ctx.clock.now_ms()).unwrap_or_default(),
        redacts: None,
        legacy: Some(Legacy {
            localpart: &random_text(EVENT_ID_CHARS),
            hashes: &|_: &EventId| Some(hash),
        }),
    };
    let key = &ctx.federation.keys().own().signing;
    event
        .seal(rules, key, &ctx.config.server_name)
        .map_err(ServiceError::internal)
}

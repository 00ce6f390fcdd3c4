//! Into rooms of other servers: one of them is asked where the join goes and gets it signed; what it says of the room's state comes in as everything else
//! from outside does.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#joining-rooms>

use std::collections::{BTreeSet, HashSet};

use plexus_core::{event::EventBody, room_version::RoomVersion};
use plexus_federation::rooms::Joined;
use plexus_proto::event_outcome::Outcome;
use ruma::{OwnedEventId, ServerName};

use super::{
    Arriving, PartialState, Placement, bring, in_order,
    member_event::{Wanted, propose, untrue},
};
use crate::{Ctx, ServiceError, rooms::access::now};

/// The version of a room whose create event does not say.
const OLD_VERSION: &str = "1";

/// Joins by a server that is in the room.
pub(super) async fn join_by(ctx: &Ctx, server: &ServerName, wanted: &Wanted) -> Result<OwnedEventId, ServiceError> {
    let (version, event) = propose(ctx, server, wanted).await?;
    // What is known here of a room goes on from a whole state only.
    let has_history = match ctx.store.room(&wanted.room_id).await? {
        Some(known) => ctx.store.room_root_at(known.nid, now(ctx)).await?.is_some(),
        None => false,
    };
    let sending = ctx.federation.send_join(server, version.rules(), &event, !has_history);
    let joined = sending.await?;
    enter(ctx, server, version, event, joined).await
}

/// Puts this server into the room: the state comes first, then the join.
async fn enter(
    ctx: &Ctx,
    server: &ServerName,
    version: RoomVersion,
    join: EventBody,
    joined: Joined,
) -> Result<OwnedEventId, ServiceError> {
    let (room_id, join_id) = (join.room_id().to_owned(), join.event_id().to_owned());
    let state = check_state(server, version, &joined)?;
    // The same event with another signature; what it says is in its id.
    let join = joined
        .event
        .filter(|event| *event.event_id() == *join_id)
        .unwrap_or(join);
    let mut events = in_order(joined.events);
    events.retain(|event| event.event_id() != join_id);
    let ids: Vec<OwnedEventId> = events.iter().map(|event| event.event_id().to_owned()).collect();
    let outliers = events.into_iter().map(Arriving::outlier).collect();
    let outcomes = bring(ctx, &room_id, version, outliers).await?;
    let mut kept = HashSet::with_capacity(state.len());
    for (id, outcome) in ids.into_iter().zip(outcomes) {
        match outcome.outcome() {
            Outcome::Missing | Outcome::Invalid => {
                tracing::debug!(room.id = %room_id, event.id = %id, reason = ?outcome.reason, "an event of a state has no place");
            }
            Outcome::Accepted | Outcome::Rejected | Outcome::SoftFailed | Outcome::Outlier => {
                kept.insert(id);
            }
        }
    }
    let state: Vec<OwnedEventId> = state.into_iter().filter(|id| kept.contains(id)).collect();
    let arriving = if joined.members_omitted {
        let mut servers = joined.servers;
        servers.insert(0, server.to_owned());
        let placement = Placement::AfterPart(PartialState { events: state, servers });
        Arriving {
            placement,
            ..Arriving::live(join)
        }
    } else {
        Arriving::after(join, state)
    };
    let outcomes = bring(ctx, &room_id, version, vec![arriving]).await?;
    ctx.inbound.partial.notify_one();
    let outcome = outcomes.first().ok_or_else(|| ServiceError::internal("no outcome"))?;
    match outcome.outcome() {
        Outcome::Accepted => Ok(join_id),
        Outcome::Rejected | Outcome::SoftFailed => {
            let reason = outcome.reason.as_deref().unwrap_or_default();
            let what = format!("a state that does not let the user in: {reason}");
            Err(untrue(server, &what))
        }
        Outcome::Missing | Outcome::Invalid | Outcome::Outlier => Err(untrue(server, "a state that is not whole")),
    }
}

/// The ids of the state, if it can be one of the room's: it is of this version, and has one event for each type and key.
fn check_state(server: &ServerName, version: RoomVersion, joined: &Joined) -> Result<Vec<OwnedEventId>, ServiceError> {
    let in_state: HashSet<&OwnedEventId> = joined.state.iter().collect();
    let mut keys = BTreeSet::new();
    let mut is_created = false;
    for event in joined
        .events
        .iter()
        .filter(|event| in_state.contains(&event.event_id().to_owned()))
    {
        let Some(state_key) = event.state_key() else {
            return Err(untrue(server, "a state of other events"));
        };
        if !keys.insert((event.kind(), state_key)) {
            return Err(untrue(server, "a state with two events for the same"));
        }
        if event.is_state("m.room.create", "") {
            let said = event.content_string("room_version");
            is_created = said.as_deref().unwrap_or(OLD_VERSION) == version.as_str();
        }
    }
    if is_created {
        Ok(joined.state.clone())
    } else {
        Err(untrue(server, "a state of a room of another version"))
    }
}

//! Into rooms of other servers: one of them is asked where the join goes and gets it signed; what it says of the room's state comes in as everything else
//! from outside does.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#joining-rooms>

use std::collections::{BTreeSet, HashSet};

use plexus_core::{event::EventBody, room_version::RoomVersion};
use plexus_federation::rooms::{Joined, Step};
use plexus_proto::event_outcome::Outcome;
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, ServerName};
use serde_json::{Map, Value};

use super::{
    Arriving, PartialState, Placement, bring,
    candidates::Attempts,
    in_order,
    member_event::{TemplateError, Wanted, complete},
};
use crate::{Ctx, ServiceError, rooms::access::now};

/// The version of a room whose create event does not say.
const OLD_VERSION: &str = "1";

/// A user of this server who wants into a room.
#[derive(Clone, Debug)]
pub(super) struct Joining {
    pub(super) room_id: OwnedRoomId,
    pub(super) user_id: OwnedUserId,
    /// What he says about it: the content, but for the membership.
    pub(super) content: Map<String, Value>,
}

/// Joins by one of these servers. It goes on when whoever asked for it gives up: the others believe the user in the room from some point on.
pub(super) async fn join(
    ctx: &Ctx,
    joining: Joining,
    servers: Vec<OwnedServerName>,
) -> Result<OwnedEventId, ServiceError> {
    let own = ctx.clone();
    let joined = ctx.federation.see_through(async move {
        let mut attempts = Attempts::new(&joining.room_id);
        for server in servers {
            let outcome = join_by(&own, &server, &joining).await;
            if let Some(event_id) = attempts.note(&server, outcome)? {
                return Ok(event_id);
            }
            if !attempts.may_go_on() {
                break;
            }
        }
        Err(attempts.give_up())
    });
    let stopping = || ServiceError::Unavailable("the process is stopping".to_owned());
    joined.await.ok_or_else(stopping)?
}

async fn join_by(ctx: &Ctx, server: &ServerName, joining: &Joining) -> Result<OwnedEventId, ServiceError> {
    let Joining {
        room_id,
        user_id,
        content,
    } = joining;
    let federation = &ctx.federation;
    let template = federation
        .make_member_event(server, Step::Join, room_id, user_id)
        .await?;
    let wanted = Wanted {
        room_id,
        user_id,
        step: Step::Join,
        content: content.clone(),
    };
    let (version, event) = complete(ctx, server, wanted, &template).map_err(|error| unsigned(server, &error))?;
    let known = ctx.store.room(room_id).await?;
    if known.is_some_and(|known| known.version != version) {
        return Err(untrue(server, "another version of the room than it has"));
    }
    // What is known here of a room goes on from a whole state only.
    let known = ctx.store.room(room_id).await?;
    let has_history = match known {
        Some(known) => ctx.store.room_root_at(known.nid, now(ctx)).await?.is_some(),
        None => false,
    };
    let joined = federation
        .send_join(server, version.rules(), &event, !has_history)
        .await?;
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

/// The other server says what cannot be.
pub(super) fn untrue(server: &ServerName, what: &str) -> ServiceError {
    ServiceError::Unavailable(format!("{server} answers with {what}"))
}

/// Nothing that the other server proposes is signed.
pub(super) fn unsigned(server: &ServerName, error: &TemplateError) -> ServiceError {
    match error {
        TemplateError::Version => ServiceError::IncompatibleRoomVersion { version: None },
        TemplateError::Other(_) | TemplateError::Reference(_) | TemplateError::Event(_) => {
            untrue(server, &error.to_string())
        }
    }
}

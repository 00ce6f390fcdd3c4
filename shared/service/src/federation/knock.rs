//! Before the doors of rooms that this server is not in.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#knocking-rooms>

use plexus_federation::rooms::Step;
use ruma::{OwnedEventId, OwnedServerName, ServerName};

use super::{
    candidates::Attempts,
    join::{Joining, unsigned, untrue},
    member_event::{Wanted, complete},
    outside::{keep, preview},
};
use crate::{Ctx, ServiceError};

/// Knocks by one of these servers.
pub(super) async fn knock(
    ctx: &Ctx,
    knocking: Joining,
    servers: Vec<OwnedServerName>,
) -> Result<OwnedEventId, ServiceError> {
    let own = ctx.clone();
    let knocked = ctx.federation.see_through(async move {
        let mut attempts = Attempts::new(&knocking.room_id);
        for server in servers {
            let outcome = knock_by(&own, &server, &knocking).await;
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
    knocked.await.ok_or_else(stopping)?
}

async fn knock_by(ctx: &Ctx, server: &ServerName, knocking: &Joining) -> Result<OwnedEventId, ServiceError> {
    let (room_id, user_id) = (&*knocking.room_id, &*knocking.user_id);
    let template = ctx
        .federation
        .make_member_event(server, Step::Knock, room_id, user_id)
        .await?;
    let wanted = Wanted {
        room_id,
        user_id,
        step: Step::Knock,
        content: knocking.content.clone(),
    };
    let (version, event) = complete(ctx, server, wanted, &template).map_err(|error| unsigned(server, &error))?;
    let known = ctx.store.room(room_id).await?;
    if known.is_some_and(|known| known.version != version) {
        return Err(untrue(server, "another version of the room than it has"));
    }
    let state = ctx.federation.send_knock(server, &event).await?;
    keep(ctx, version, &event, Some(preview(&state, user_id))).await
}

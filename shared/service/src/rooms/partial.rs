//! Rooms that were joined before all of their members were known here.

use std::time::Duration;

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
};
use plexus_storage::StoreError;
use tokio::time::{Instant, timeout_at};

use crate::{Ctx, ServiceError};

/// How long a request waits for the members of a room.
const WAIT: Duration = Duration::from_secs(20);

/// Waits until all of a room's state is here, and tells since when, if that was not always so. Who asks too early is asked to come again.
pub(super) async fn until_complete(ctx: &Ctx, user: UserNid, room: RoomNid) -> Result<Sequence, ServiceError> {
    let deadline = Instant::now() + WAIT;
    loop {
        let rooms = async { Ok::<_, StoreError>([room]) };
        let mut listener = ctx.replica.listen(user, rooms).await?;
        match ctx.store.partial_rooms().await?.get(&room) {
            None => return Ok(0),
            Some(Some(completed)) => return Ok(*completed),
            Some(None) => {}
        }
        if timeout_at(deadline, listener.changed()).await.is_err() {
            let error = "the members of the room are on their way";
            return Err(ServiceError::Unavailable(error.to_owned()));
        }
    }
}

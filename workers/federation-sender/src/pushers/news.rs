//! What has happened in a user's rooms.

use std::sync::Arc;

use plexus_core::{ids::UserNid, position::Sequence, row::Membership};
use plexus_service::{Ctx, ServiceError, push::read::joined_since};
use plexus_storage::events::StoredEvent;

/// Most events of one room that are looked at in one go; of more than that at once, the newest.
const EVENTS_PER_ROOM_MAX: usize = 200;

/// The events after a place and up to another, of the rooms the user is in, and the invitations he has got; in the order of the log.
pub(super) async fn read(
    ctx: &Ctx,
    user: UserNid,
    after: Sequence,
    up_to: Sequence,
) -> Result<Vec<Arc<StoredEvent>>, ServiceError> {
    let rooms = ctx.store.user_rooms_at(user, up_to).await?;
    let touched = ctx.store.rooms_changed(after);
    let mut news = Vec::new();
    for (room, member) in rooms.iter() {
        if touched
            .as_ref()
            .is_some_and(|touched| touched.binary_search(&room).is_err())
        {
            continue;
        }
        match member.membership {
            Membership::Join if ctx.store.last_change(room) > after => {
                // What was said before he came in is not news, even if he may read it.
                let since = if member.position > after {
                    after.max(joined_since(ctx, user, room, member).await?)
                } else {
                    after
                };
                let events = ctx
                    .store
                    .events_between(room, since, up_to, EVENTS_PER_ROOM_MAX)
                    .await?;
                news.extend(events);
            }
            Membership::Invite if member.position > after => news.extend(ctx.store.event(member.event).await?),
            Membership::Join | Membership::Invite | Membership::Knock | Membership::Leave | Membership::Ban => {}
        }
    }
    news.sort_unstable_by_key(|event| event.position);
    Ok(news)
}

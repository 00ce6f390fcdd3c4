//! What is unread by the rules everybody begins with: a difference.

use plexus_core::{ids::RoomNid, position::Sequence, push_rules::may_highlight};
use plexus_storage::highlights::Highlights;

use super::{Counts, Reader};
use crate::{
    Ctx, ServiceError,
    push::read::{Mark, Receipts, mark_at},
};

/// Most new events that are looked at one by one; if there are more, the database is asked for what matters of them.
const LOOKED_AT_MAX: usize = 50;

/// Most events among which a user's own newest is looked for, when nothing is known yet. One before them would only make a large number smaller.
const LOOKED_BACK_MAX: i64 = 10_000;

/// What has been found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subtracted {
    /// To where everything is read.
    floor: Mark,
    /// What highlights the room between there and `seen_to`.
    highlights: Highlights,
    /// To where events have been looked at.
    seen_to: Sequence,
}

/// Brings what was found up to a place.
pub(super) async fn carry_on(
    ctx: &Ctx,
    reader: Reader<'_>,
    receipts: &Receipts,
    before: Option<Subtracted>,
    up_to: Sequence,
) -> Result<Subtracted, ServiceError> {
    let known_floor = before.map_or(receipts.all, |before| before.floor.max(receipts.all));
    let seen_to = before.map_or(receipts.all.position, |before| before.seen_to);
    let news = look(
        ctx,
        reader,
        (seen_to.max(known_floor.position), up_to),
        before.is_some(),
    )
    .await?;
    let floor = news.own.map_or(known_floor, |own| own.max(known_floor));
    let highlights = match before {
        Some(before) if before.floor == floor && !news.may_highlight => before.highlights,
        _ => {
            let (user, room) = (reader.user, reader.room.nid);
            ctx.store.highlights(room, user, floor.position, up_to).await?
        }
    };
    Ok(Subtracted {
        floor,
        highlights,
        seen_to: seen_to.max(up_to),
    })
}

/// What matters of new events.
struct News {
    /// The reader's newest own event.
    own: Option<Mark>,
    may_highlight: bool,
}

async fn look(
    ctx: &Ctx,
    reader: Reader<'_>,
    (after, up_to): (Sequence, Sequence),
    are_few: bool,
) -> Result<News, ServiceError> {
    if after >= up_to {
        return Ok(News {
            own: None,
            may_highlight: false,
        });
    }
    if are_few {
        let room = reader.room.nid;
        let events = ctx.store.events_between(room, after, up_to, LOOKED_AT_MAX).await?;
        if events.len() < LOOKED_AT_MAX {
            let own = events
                .iter()
                .find(|event| event.sender == reader.user && event.state_key.is_none());
            return Ok(News {
                own: own.map(|event| Mark {
                    position: event.position,
                    notifying: event.notifying,
                }),
                may_highlight: events
                    .iter()
                    .any(|event| may_highlight(event.body.kind(), event.body.content())),
            });
        }
    }
    let range = (after, up_to);
    let own = ctx
        .store
        .last_sent(reader.room.nid, reader.user, range, LOOKED_BACK_MAX)
        .await?;
    Ok(News {
        own: own.map(|(position, notifying)| Mark { position, notifying }),
        may_highlight: true,
    })
}

impl Subtracted {
    pub(super) async fn counts(&self, ctx: &Ctx, room: RoomNid, up_to: Sequence) -> Result<Counts, ServiceError> {
        let now = mark_at(ctx, room, up_to).await?;
        Ok(Counts {
            notifications: (now.notifying - self.floor.notifying).max(0) + self.highlights.notifying,
            highlights: self.highlights.highlighting,
        })
    }
}

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
    let Some(before) = before else {
        return begin(ctx, reader, receipts.all, up_to).await;
    };
    let known_floor = before.floor.max(receipts.all);
    let news = look(ctx, reader, (before.seen_to.max(known_floor.position), up_to)).await?;
    let floor = news.own.map_or(known_floor, |own| own.max(known_floor));
    let highlights = if before.floor == floor && !news.may_highlight {
        before.highlights
    } else {
        highlights(ctx, reader, floor, up_to).await?
    };
    Ok(Subtracted {
        floor,
        highlights,
        seen_to: before.seen_to.max(up_to),
    })
}

/// The same with nothing known. Where nothing is unread whatever the reader has said, nobody looks for what he has.
async fn begin(ctx: &Ctx, reader: Reader<'_>, read: Mark, up_to: Sequence) -> Result<Subtracted, ServiceError> {
    let mut found = Subtracted {
        floor: read,
        highlights: highlights(ctx, reader, read, up_to).await?,
        seen_to: up_to.max(read.position),
    };
    let now = mark_at(ctx, reader.room.nid, up_to).await?;
    if now.notifying > read.notifying || found.highlights != Highlights::default() {
        let own = last_sent(ctx, reader, (read.position, up_to)).await?;
        if let Some(own) = own.filter(|own| *own > read) {
            found.floor = own;
            found.highlights = highlights(ctx, reader, own, up_to).await?;
        }
    }
    Ok(found)
}

async fn highlights(ctx: &Ctx, reader: Reader<'_>, floor: Mark, up_to: Sequence) -> Result<Highlights, ServiceError> {
    let (room, user) = (reader.room.nid, reader.user);
    Ok(ctx.store.highlights(room, user, floor.position, up_to).await?)
}

async fn last_sent(ctx: &Ctx, reader: Reader<'_>, range: (Sequence, Sequence)) -> Result<Option<Mark>, ServiceError> {
    let (room, user) = (reader.room.nid, reader.user);
    let found = ctx.store.last_sent(room, user, range, LOOKED_BACK_MAX).await?;
    Ok(found.map(|(position, notifying)| Mark { position, notifying }))
}

/// What matters of new events.
struct News {
    /// The reader's newest own event.
    own: Option<Mark>,
    may_highlight: bool,
}

async fn look(ctx: &Ctx, reader: Reader<'_>, (after, up_to): (Sequence, Sequence)) -> Result<News, ServiceError> {
    if after >= up_to {
        return Ok(News {
            own: None,
            may_highlight: false,
        });
    }
    let room = reader.room.nid;
    let events = ctx.store.events_between(room, after, up_to, LOOKED_AT_MAX).await?;
    if events.len() == LOOKED_AT_MAX {
        return Ok(News {
            own: last_sent(ctx, reader, (after, up_to)).await?,
            may_highlight: true,
        });
    }
    let own = events
        .iter()
        .find(|event| event.sender == reader.user && event.state_key.is_none());
    let mut bodies = events.iter().map(|event| &event.body);
    Ok(News {
        own: own.map(|event| Mark {
            position: event.position,
            notifying: event.notifying,
        }),
        may_highlight: bodies.any(|body| may_highlight(body.kind(), body.content())),
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

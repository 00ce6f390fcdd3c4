//! One pusher: from its place in the log to the end, and then whatever comes.

use std::{sync::Arc, time::Duration};

use plexus_core::{
    ids::RoomNid,
    position::{Sequence, WriterId},
    row::Membership,
};
use plexus_replication::Listener;
use plexus_service::{
    Ctx, ServiceError,
    push::{ask::Asker, rules},
    users::ignored::ignored_by,
};
use plexus_storage::{StoreError, events::StoredEvent, pushers::Pusher};
use tokio::time::sleep;

use super::{
    delivery::{Outcome, deliver},
    news,
    notification::{self, Format, Notice},
};
use crate::SenderParts;

/// After how many places that told nothing the cursor is stored all the same: so much is looked at again after a restart.
const CURSOR_LAG_MAX: Sequence = 10_000;
/// How long to wait when the database or the log cannot be read.
const FAULT_WAIT: Duration = Duration::from_secs(1);

/// Tells one pusher of events until it is removed or the process ends.
pub(super) async fn run(parts: Arc<SenderParts>, pusher: Pusher) {
    let Some(format) = Format::of(&pusher) else {
        tracing::warn!(user = pusher.key.user.0, "a pusher has no gateway that can be told");
        return;
    };
    let mut telling = Telling {
        parts: &parts,
        pusher: &pusher,
        format: &format,
        told: 0,
        stored: 0,
    };
    loop {
        match telling.follow().await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(%error, user = pusher.key.user.0, "a pusher cannot go on");
                sleep(FAULT_WAIT).await;
            }
        }
    }
}

/// How far a pusher is.
struct Telling<'a> {
    parts: &'a SenderParts,
    pusher: &'a Pusher,
    format: &'a Format,
    /// Everything up to here has been looked at.
    told: Sequence,
    /// What the database knows of that.
    stored: Sequence,
}

impl Telling<'_> {
    /// Goes on from the stored place. Returns once the pusher is gone.
    async fn follow(&mut self) -> Result<(), ServiceError> {
        let ctx = &self.parts.ctx;
        let stored = Box::pin(ctx.store.pusher_cursor(&self.pusher.key)).await?;
        self.stored = stored.unwrap_or(self.pusher.position).max(self.pusher.position);
        self.told = self.told.max(self.stored);
        // On the heap only while there is something to look at: most pushers wait most of the time, and there are many.
        while let Some(mut listener) = Box::pin(self.look()).await? {
            listener.changed().await;
        }
        Ok(())
    }

    /// Tells of everything up to now. What wakes when there is more comes back, or nothing once the pusher is gone.
    async fn look(&mut self) -> Result<Option<Listener>, ServiceError> {
        let ctx = &self.parts.ctx;
        // Anew each time: what is known of his rooms may have been forgotten meanwhile, and then every row would wake him.
        let rooms = joined_rooms(ctx, self.pusher);
        let listener = ctx.replica.listen(self.pusher.key.user, rooms).await?;
        let up_to = ctx.replica.position().get(WriterId::MASTER);
        for event in news::read(ctx, self.pusher.key.user, self.told, up_to).await? {
            if self.tell(&event).await? == Outcome::Gone {
                return Ok(None);
            }
        }
        self.told = self.told.max(up_to);
        if self.told - self.stored > CURSOR_LAG_MAX {
            self.store_place().await?;
        }
        Ok(Some(listener))
    }

    /// Tells of an event, if the user's rules want him to know of it.
    async fn tell(&mut self, event: &StoredEvent) -> Result<Outcome, ServiceError> {
        let ctx = &self.parts.ctx;
        let Some(notice) = self.ask(event).await? else {
            return Ok(Outcome::Done);
        };
        if !self.is_wanted().await? {
            return Ok(Outcome::Gone);
        }
        let body = notification::write(ctx, self.pusher, self.format, event, &notice).await?;
        let outcome = deliver(self.parts, &self.pusher.key, self.format.gateway(), body).await;
        self.told = event.position;
        self.store_place().await?;
        Ok(outcome)
    }

    /// Whether the pusher is still as it was. Nothing that came after its end may be told, and the row of that end may be heard of later than the event.
    async fn is_wanted(&self) -> Result<bool, StoreError> {
        let pushers = self.parts.ctx.store.pushers(self.pusher.key.user).await?;
        Ok(pushers.contains(self.pusher))
    }

    /// What the user's rules say of an event; nothing if he is not to know of it.
    async fn ask(&self, event: &StoredEvent) -> Result<Option<Notice>, ServiceError> {
        let (ctx, user) = (&self.parts.ctx, self.pusher.key.user);
        let (Some(user_id), Some(room)) = (ctx.store.user_id(user).await?, ctx.store.room_by_nid(event.room).await?)
        else {
            return Ok(None);
        };
        let is_message = event.state_key.is_none();
        let is_about_him = event.body.state_key() == Some(user_id.as_str());
        if (is_message || is_about_him) && ignored_by(ctx, user).await?.contains(event.body.sender()) {
            return Ok(None);
        }
        let rules = rules::of_user(ctx, user, &user_id).await?;
        let answer = Asker::new(ctx, &room, &user_id, &rules).await?.ask(event).await?;
        Ok(answer.notifies.then(|| Notice::of(&answer.actions)))
    }

    async fn store_place(&mut self) -> Result<(), StoreError> {
        self.parts
            .ctx
            .store
            .move_pusher_cursor(&self.pusher.key, self.told)
            .await?;
        self.stored = self.told;
        Ok(())
    }
}

async fn joined_rooms(ctx: &Ctx, pusher: &Pusher) -> Result<Vec<RoomNid>, StoreError> {
    let rooms = ctx.store.user_rooms(pusher.key.user).await?;
    Ok(rooms.with(Membership::Join).map(|(room, _)| room).collect())
}

//! What lies between the history that is known and events that came without it: fetched from those who should have it.
//!
//! First the events in between, as far back as is worth it; then the events that allow what is new; and where the history still has a hole, the state
//! behind it, so that it can go on from there. What is not to be had holds up only what needs it.

mod outliers;
mod pool;
mod sources;
mod state;

use plexus_federation::rooms::{MISSING_EVENTS_MAX, MissingEvents};
use plexus_storage::{room_heads, rooms::RoomInfo, staged_events::StagedEvent};
use ruma::OwnedEventId;

use self::pool::Pool;
pub(super) use self::{
    outliers::{bring_outliers, fetch_events},
    sources::Sources,
    state::fetch_state_parts,
};
use crate::{Ctx, ServiceError};

/// Times that something is fetched in one go.
const ROUNDS_MAX: usize = 40;
/// Events of a hole that are fetched: of a larger one the newest, and the state before them.
const POOL_MAX: usize = 500;
/// Whoever gives fewer events than this has no more: servers stop at ten or twenty of their own accord.
const BETWEEN_MIN: usize = 10;
/// Events that one question is about.
const ASKED_ABOUT_MAX: usize = 20;

/// What one go at a room knows.
struct Gap<'a> {
    ctx: &'a Ctx,
    room: &'a RoomInfo,
    sources: Sources,
    pool: Pool,
    /// Whether a server has given all that it has of what lies between.
    has_all_between: bool,
}

/// Brings events to their places, with whatever they need that can be fetched. Those of them whose time it is not yet are brought, and nothing is fetched
/// for them. What is settled waits no longer.
pub(super) async fn fill(
    ctx: &Ctx,
    room: &RoomInfo,
    waiting: Vec<StagedEvent>,
    now_ms: i64,
) -> Result<(), ServiceError> {
    let sources = Sources::find(ctx, room, &waiting).await?;
    let pool = Pool::new(waiting, now_ms);
    let mut gap = Gap {
        ctx,
        room,
        sources,
        pool,
        has_all_between: false,
    };
    for _ in 0..ROUNDS_MAX {
        gap.pool.bring(ctx, room).await?;
        if !gap.pool.lacks_something() {
            break;
        }
        let found = gap.fetch_between().await? || gap.fetch_auth().await? || gap.fetch_state().await?;
        if !found {
            break;
        }
    }
    Ok(())
}

impl Gap<'_> {
    /// Fetches what lies between the known history and the events that came. Whether anything was new.
    async fn fetch_between(&mut self) -> Result<bool, ServiceError> {
        let new = self.pool.ragged(ASKED_ABOUT_MAX);
        if self.has_all_between || self.pool.len() >= POOL_MAX || new.is_empty() || self.pool.has_asked_between(&new) {
            return Ok(false);
        }
        let missing = MissingEvents {
            known: self.ends().await?,
            new: new.clone(),
            limit: MISSING_EVENTS_MAX,
            min_depth: 0,
        };
        let (room, federation) = (self.room, &self.ctx.federation);
        for server in self.sources.each() {
            let fetched = federation.fetch_missing_events(&server, room.version.rules(), &room.id, &missing);
            match fetched.await {
                Ok(events) => {
                    let has_more = events.len() >= BETWEEN_MIN;
                    if self.pool.add(events) > 0 {
                        self.has_all_between = !has_more;
                        return Ok(true);
                    }
                }
                Err(error) => self.sources.note(&server, error)?,
            }
        }
        self.pool.note_asked_between(new);
        Ok(false)
    }

    /// The ids of the room's newest events here.
    async fn ends(&self) -> Result<Vec<OwnedEventId>, ServiceError> {
        let head = room_heads::load(self.ctx.store.db(), self.room.nid).await?;
        let mut ends = head.map(|head| head.extremities).unwrap_or_default();
        ends.truncate(ASKED_ABOUT_MAX);
        let events = self.ctx.store.events_there(&ends).await?;
        Ok(events.iter().map(|event| event.body.event_id().to_owned()).collect())
    }

    /// Fetches the events that allow those in hand. Whether anything was new.
    async fn fetch_auth(&mut self) -> Result<bool, ServiceError> {
        let mut is_any_new = false;
        for (event_id, missing) in self.pool.take_lacking_auth(ASKED_ABOUT_MAX) {
            is_any_new |= self.fetch_auth_of(&event_id).await?;
            // A server that has lost part of the chain, or does not tell it, may still have single events.
            let fetched = fetch_events(self.ctx, self.room, &self.sources, missing).await?;
            is_any_new |= bring_outliers(self.ctx, self.room, &self.sources, fetched).await?;
        }
        Ok(is_any_new)
    }

    async fn fetch_auth_of(&self, event_id: &OwnedEventId) -> Result<bool, ServiceError> {
        let (room, federation) = (self.room, &self.ctx.federation);
        for server in self.sources.each() {
            let fetched = federation.fetch_event_auth(&server, room.version.rules(), &room.id, event_id);
            match fetched.await {
                Ok(chain) => {
                    if bring_outliers(self.ctx, room, &self.sources, chain).await? {
                        return Ok(true);
                    }
                }
                Err(error) => self.sources.note(&server, error)?,
            }
        }
        Ok(false)
    }

    /// Gives events after a hole the state before them. Whether any of them has found its place.
    async fn fetch_state(&mut self) -> Result<bool, ServiceError> {
        let mut is_any_placed = false;
        for event in self.pool.take_edges(ASKED_ABOUT_MAX) {
            if state::place_after_hole(self.ctx, self.room, &self.sources, &event).await? {
                is_any_placed = true;
                self.pool.settle(self.ctx, self.room, event.event_id()).await?;
            }
        }
        Ok(is_any_placed)
    }
}

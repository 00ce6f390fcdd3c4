//! `GET /sync`: what a device has not been told yet, and waiting until there is something.
//!
//! An answer fixes its upper place in the log once, before anything is read: what this process has applied. It tells of everything after `since` up to there,
//! reads state at a root and membership from its history, and so it neither misses nor repeats anything, whatever happens in the meantime. Whatever it needs
//! and cannot have in time is an error that the client may repeat, never a shorter answer.
//!
//! A waiting device that is woken looks at the rooms that changed and at no others, takes their events from memory, and writes the answer's bytes as it goes.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#syncing>

mod account_data;
mod device_lists;
mod ephemeral;
mod event;
mod filters;
mod key_counts;
pub mod legacy;
mod members;
mod part;
mod presence;
mod response;
mod scope;
mod state;
pub(crate) mod stripped;
mod summary;
mod timeline;
mod to_device;
mod turns;
mod unread;
mod visits;

use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use plexus_core::{
    filter::Filter,
    ids::RoomNid,
    position::WriterId,
    row::{Membership, PresenceState},
    token::{SyncToken, Unreached},
};
use plexus_storage::StoreError;
use tokio::time::{Instant, timeout_at};

use self::scope::{Scope, Window};
pub use self::{members::SentMembers, turns::Turns};
use crate::{Ctx, Requester, ServiceError, presence::note_sync, tokens};

/// Longest time a device may wait for news; who asks for more gets an empty answer then.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// Syncs answered, by what they were.
pub const SYNCS_TOTAL: &str = "plexus_syncs_total";

/// What a device asks for.
#[derive(Clone, Debug, Default)]
pub struct SyncRequest {
    /// `next_batch` of the answer before.
    pub since: Option<String>,
    /// The id of a stored filter, or a filter as JSON.
    pub filter: Option<String>,
    /// Whether all of the state is told again.
    pub full_state: bool,
    /// Whether the state is told as it is after the timeline, and not as it is before.
    pub use_state_after: bool,
    /// How the device says its user is by syncing; nothing if syncing says nothing.
    pub set_presence: Option<PresenceState>,
    /// How long to wait for news.
    pub timeout: Duration,
    /// The hash of the access token: a wait ends with an error once the session is gone.
    pub token_hash: Option<[u8; 32]>,
}

/// The answer, as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncResponse(pub Bytes);

/// Tells a device what is new, as soon as anything is.
pub async fn sync(ctx: &Ctx, requester: &Requester, request: SyncRequest) -> Result<SyncResponse, ServiceError> {
    let lasts = request.timeout.min(TIMEOUT_MAX);
    let deadline = Instant::now() + lasts;
    if let Some(state) = request.set_presence {
        note_sync(ctx, requester, state, lasts).await;
    }
    let filter = filters::load(ctx, requester, request.filter.as_deref()).await?;
    let since = open_since(ctx, request.since.as_deref()).await?;
    if let Some(since) = &since {
        to_device::acknowledge(ctx, requester, since).await?;
    }
    let since = match since {
        Some(since) if !request.full_state => since,
        whole => {
            counter!(SYNCS_TOTAL, "kind" => "whole").increment(1);
            // Without a token nothing says how far the device has come elsewhere: not behind what the master has committed.
            if whole.is_none() {
                ctx.replica.head().await?;
            }
            let _turn = ctx.turns.take(requester.user).await;
            let window = Window::now(ctx, whole.as_ref());
            return Ok(answer(ctx, requester, &request, &filter, window).await?.0);
        }
    };
    counter!(SYNCS_TOTAL, "kind" => "incremental").increment(1);
    wait(ctx, requester, &request, &filter, since, deadline).await
}

/// Answers once there is something to tell, or at the deadline.
async fn wait(
    ctx: &Ctx,
    requester: &Requester,
    request: &SyncRequest,
    filter: &Filter,
    mut since: SyncToken,
    deadline: Instant,
) -> Result<SyncResponse, ServiceError> {
    // Before the place is fixed, so that what comes after it wakes.
    let mut listener = ctx.replica.listen(requester.user, joined_rooms(ctx, requester)).await?;
    loop {
        require_session(ctx, request.token_hash).await?;
        let window = Window::now(ctx, Some(&since));
        let next = window.next(ctx, window.to_device);
        let (response, has_news) = answer(ctx, requester, request, filter, window).await?;
        if has_news || Instant::now() >= deadline || timeout_at(deadline, listener.changed()).await.is_err() {
            return Ok(response);
        }
        // Nothing up to there concerns this device: it need not be looked at again.
        since = next;
    }
}

/// Everything in the window, and whether that is anything.
async fn answer(
    ctx: &Ctx,
    requester: &Requester,
    request: &SyncRequest,
    filter: &Filter,
    window: Window,
) -> Result<(SyncResponse, bool), ServiceError> {
    let full_state = request.full_state || window.since.is_none();
    let scope = Scope {
        full_state,
        state_after: request.use_state_after,
        ..Scope::new(ctx, requester, filter, window).await?
    };
    let visits = visits::choose(&scope).await?;
    response::write(&scope, &visits).await
}

async fn joined_rooms(ctx: &Ctx, requester: &Requester) -> Result<Vec<RoomNid>, StoreError> {
    let rooms = ctx.store.user_rooms(requester.user).await?;
    Ok(rooms.with(Membership::Join).map(|(room, _)| room).collect())
}

/// The token, once this process has reached it; none if it is of another history, so that the device has to begin again.
async fn open_since(ctx: &Ctx, since: Option<&str>) -> Result<Option<SyncToken>, ServiceError> {
    let Some(since) = since else { return Ok(None) };
    let invalid = |_| ServiceError::invalid_param("`since` is not a token of this server");
    let token: Unreached<SyncToken> = since.parse().map_err(invalid)?;
    if token.generation() != ctx.config.generation {
        return Ok(None);
    }
    let mut since = tokens::open(ctx, token).await?;
    // No message has a later place than the answer that told of it.
    since.to_device = since.to_device.min(since.position.get(WriterId::MASTER));
    Ok(Some(since))
}

/// A device that was logged out while it waited is told nothing more.
async fn require_session(ctx: &Ctx, token_hash: Option<[u8; 32]>) -> Result<(), ServiceError> {
    let Some(token_hash) = token_hash else {
        return Ok(());
    };
    match ctx.store.session(&token_hash).await? {
        Some(_) => Ok(()),
        None => Err(ServiceError::Matrix {
            status: 401,
            errcode: "M_UNKNOWN_TOKEN".to_owned(),
            error: "the access token is not known any more".to_owned(),
        }),
    }
}

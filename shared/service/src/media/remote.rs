//! Files of other servers: fetched when somebody asks for them, and kept as long as there is room.
//!
//! They are in a folder of their own, under a quota of their own: whatever other servers send, uploads have their place. A file that has gone from there is
//! fetched again. What a server gives to those only who say who they are is given here to those only who show an access token.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use plexus_federation::{
    flights::{Flights, Spawn},
    outbound::OutboundError,
    queries::{FileError, RemoteFile},
    request::RequestError,
};
use plexus_media::{BlobHash, Media, Stored, served};
use plexus_storage::{
    media::MediaContent,
    remote_media::{RemoteMedia, RemoteMediaKey},
};
use ruma::{OwnedServerName, ServerName};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};

use super::download::{Found, Shown};
use crate::{Ctx, ServiceError, error::Refusal};

/// Most files that a process fetches at the same time.
const FETCHES_AT_ONCE: usize = 16;
/// Most of one server, so that slow ones do not keep all others away.
const FETCHES_OF_ONE_SERVER: usize = 4;
/// Most that wait for that.
const FETCHES_WAITING_MAX: usize = 200;
/// How long a file may stand still on its way.
const STALLED_MAX: Duration = Duration::from_secs(30);
/// How long a file may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(300);
/// How old the note of the last access may be.
const ACCESS_NOTED_EVERY_MS: i64 = 60 * 60 * 1000;
/// Files that are looked at together when there is no room.
const EVICTED_TOGETHER: i64 = 50;
/// Most times that this is done for one file.
const EVICTIONS_MAX: usize = 1_000;

/// The files of other servers that a process has, and those on their way to it. Cheap to clone.
#[derive(Clone)]
pub struct RemoteFiles {
    /// Where they are.
    pub media: Media,
    /// Most bytes that are kept.
    quota_bytes: u64,
    fetches: Arc<Flights<(OwnedServerName, String, bool), Outcome>>,
    turns: Arc<Semaphore>,
    /// Turns at each server that something is fetched from; bounded by `waiting`.
    of_servers: Arc<Mutex<HashMap<OwnedServerName, Weak<Semaphore>>>>,
    waiting: Arc<Semaphore>,
}

/// What came of a fetch; whoever waits for it gets it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Kept,
    NotFound,
    TooLarge,
    Failed,
}

impl RemoteFiles {
    /// Files in `media`'s folder, of at most `quota_bytes` in all.
    pub fn new(media: Media, quota_bytes: u64, spawn: &Spawn) -> Self {
        Self {
            media,
            quota_bytes,
            fetches: Flights::new(Arc::clone(spawn)),
            turns: Arc::new(Semaphore::new(FETCHES_AT_ONCE)),
            of_servers: Arc::default(),
            waiting: Arc::new(Semaphore::new(FETCHES_AT_ONCE + FETCHES_WAITING_MAX)),
        }
    }

    /// The turns at one server.
    fn turns_of(&self, server: &ServerName) -> Arc<Semaphore> {
        let mut of_servers = self.of_servers.lock().unwrap_or_else(PoisonError::into_inner);
        of_servers.retain(|_, turns| turns.strong_count() > 0);
        if let Some(turns) = of_servers.get(server).and_then(Weak::upgrade) {
            return turns;
        }
        let turns = Arc::new(Semaphore::new(FETCHES_OF_ONE_SERVER));
        of_servers.insert(server.to_owned(), Arc::downgrade(&turns));
        turns
    }
}

impl fmt::Debug for RemoteFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteFiles")
            .field("quota_bytes", &self.quota_bytes)
            .finish_non_exhaustive()
    }
}

/// The file of another server. If it is not here, waits for it as long as `wait`; it goes on coming after that.
pub(super) async fn find_remote(
    ctx: &Ctx,
    server: &ServerName,
    media_id: &str,
    shown: Shown,
    wait: Duration,
) -> Result<Found, ServiceError> {
    let deadline = Instant::now() + wait;
    if let Some(found) = find_kept(ctx, &key(server, media_id, ""), shown).await? {
        return Ok(found);
    }
    let openly = shown == Shown::Nothing;
    if openly && ctx.config.media.require_token {
        return Err(ServiceError::not_found("there is no such file"));
    }
    let (fetching, from, id) = (ctx.clone(), server.to_owned(), media_id.to_owned());
    let fetch = || async move { fetch(&fetching, &from, &id, openly).await };
    let flight = (server.to_owned(), media_id.to_owned(), openly);
    let Ok(outcome) = timeout_at(deadline, ctx.remote_files.fetches.join(flight, fetch)).await else {
        let error = "the file is still on its way from its server";
        return Err(ServiceError::refused(Refusal::NotYetUploaded, error));
    };
    match outcome {
        Some(Outcome::Kept) => {}
        Some(Outcome::NotFound) => return Err(ServiceError::not_found("there is no such file")),
        Some(Outcome::TooLarge) => {
            return Err(ServiceError::refused(
                Refusal::TooLarge,
                "the file is larger than what is taken",
            ));
        }
        Some(Outcome::Failed) | None => {
            return Err(ServiceError::Unavailable(format!("{server} does not give the file")));
        }
    }
    let found = find_kept(ctx, &key(server, media_id, ""), shown).await?;
    found.ok_or_else(|| ServiceError::Unavailable("there is no room for the file".to_owned()))
}

/// What is kept of a file or a thumbnail of it, if it may be shown.
pub(super) async fn find_kept(ctx: &Ctx, key: &RemoteMediaKey, shown: Shown) -> Result<Option<Found>, ServiceError> {
    let Some(kept) = ctx.store.remote_media(key).await? else {
        return Ok(None);
    };
    if shown == Shown::Nothing && !kept.is_open {
        return Ok(None);
    }
    let hash = BlobHash(kept.content.hash);
    if ctx.remote_files.media.blobs.open(hash).await?.is_none() {
        return Ok(None);
    }
    let now_ms = ctx.clock.now_ms();
    if now_ms - kept.last_access_ms > ACCESS_NOTED_EVERY_MS {
        ctx.store.touch_remote_media(key, now_ms).await?;
    }
    Ok(Some(Found {
        hash,
        size: kept.content.size,
        content_type: kept.content.content_type,
        file_name: kept.content.file_name,
        is_remote: true,
    }))
}

/// Keeps a file, after making room for it.
pub(super) async fn keep(
    ctx: &Ctx,
    key: &RemoteMediaKey,
    content: MediaContent,
    is_open: bool,
) -> Result<(), ServiceError> {
    make_room(ctx, content.size).await?;
    let media = RemoteMedia {
        content,
        is_open,
        last_access_ms: ctx.clock.now_ms(),
    };
    Ok(ctx.store.put_remote_media(key, &media).await?)
}

/// Whose file it is, and which.
pub(super) fn key(server: &ServerName, media_id: &str, variant: &str) -> RemoteMediaKey {
    RemoteMediaKey {
        server_name: server.to_string(),
        media_id: media_id.to_owned(),
        variant: variant.to_owned(),
    }
}

/// Forgets files until there is room for so many bytes more.
async fn make_room(ctx: &Ctx, bytes: u64) -> Result<(), ServiceError> {
    for _ in 0..EVICTIONS_MAX {
        if ctx.store.remote_media_bytes().await?.saturating_add(bytes) <= ctx.remote_files.quota_bytes {
            break;
        }
        let oldest = ctx.store.oldest_remote_media(EVICTED_TOGETHER).await?;
        if oldest.is_empty() {
            break;
        }
        for (key, hash) in oldest {
            ctx.store.delete_remote_media(&key).await?;
            if !ctx.store.is_remote_content_kept(hash).await? {
                ctx.remote_files.media.blobs.remove(BlobHash(hash)).await?;
            }
            if ctx.store.remote_media_bytes().await?.saturating_add(bytes) <= ctx.remote_files.quota_bytes {
                break;
            }
        }
    }
    Ok(())
}

async fn fetch(ctx: &Ctx, server: &ServerName, media_id: &str, openly: bool) -> Outcome {
    let Ok(_place) = ctx.remote_files.waiting.try_acquire() else {
        return Outcome::Failed;
    };
    // Closed they never are.
    let of_server = ctx.remote_files.turns_of(server);
    let _turn_of_server = of_server.acquire().await;
    let _turn = ctx.remote_files.turns.acquire().await;
    let fetched = timeout(FETCH_TIMEOUT, fetch_now(ctx, server, media_id, openly)).await;
    match fetched {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            tracing::warn!(server.name = %server, %error, "a file of another server cannot be kept");
            Outcome::Failed
        }
        Err(_) => Outcome::Failed,
    }
}

async fn fetch_now(ctx: &Ctx, server: &ServerName, media_id: &str, openly: bool) -> Result<Outcome, ServiceError> {
    let most = ctx.config.media.max_upload_bytes.min(ctx.remote_files.quota_bytes);
    let bytes_max = usize::try_from(most).unwrap_or(usize::MAX);
    let federation = &ctx.federation;
    let known = async {
        if openly {
            return Err(FileError::Unrecognized);
        }
        receive(ctx, most, federation.open_file(server, media_id, bytes_max)).await
    };
    let (received, is_open) = match known.await {
        // A server from before 2024, or a stranger who asks.
        Err(FileError::Unrecognized) => {
            let opening = federation.open_file_openly(server, media_id, bytes_max);
            (receive(ctx, most, opening).await, true)
        }
        received => (received, false),
    };
    match received {
        Ok(content) => {
            keep(ctx, &key(server, media_id, ""), content, is_open).await?;
            Ok(Outcome::Kept)
        }
        Err(error) => Ok(outcome(server, &error)),
    }
}

fn outcome(server: &ServerName, error: &FileError) -> Outcome {
    match error {
        FileError::NotFound | FileError::Unrecognized => Outcome::NotFound,
        error if error.is_too_long() => Outcome::TooLarge,
        FileError::Request(RequestError::NotNow { .. }) => Outcome::Failed,
        FileError::Refused(_)
        | FileError::Request(_)
        | FileError::Transport(_)
        | FileError::Outbound(_)
        | FileError::Multipart(_) => {
            tracing::info!(server.name = %server, %error, "a file of another server cannot be had");
            Outcome::Failed
        }
    }
}

/// Takes in a file of at most `most` bytes as it comes.
async fn receive(
    ctx: &Ctx,
    most: u64,
    opening: impl Future<Output = Result<RemoteFile, FileError>>,
) -> Result<MediaContent, FileError> {
    let mut file = opening.await?;
    let disk = |error: plexus_media::MediaError| FileError::Refused(error.to_string());
    let mut incoming = ctx.remote_files.media.blobs.receive().await.map_err(disk)?;
    let mut received = 0_u64;
    loop {
        let piece = timeout(STALLED_MAX, file.piece()).await;
        let piece = piece.map_err(|_| FileError::Outbound(OutboundError::TimedOut))??;
        let Some(piece) = piece else { break };
        received += piece.len() as u64;
        if received > most {
            return Err(OutboundError::TooLong.into());
        }
        incoming.write(piece).await.map_err(disk)?;
    }
    let stored: Stored = incoming.finish().await.map_err(disk)?;
    let file_name = file.disposition.as_deref().and_then(served::name_in_disposition);
    Ok(MediaContent {
        hash: stored.hash.0,
        size: stored.size,
        content_type: served::content_type(file.content_type.as_deref().unwrap_or_default()).to_owned(),
        file_name,
    })
}

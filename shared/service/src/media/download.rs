//! Giving out files.

use std::time::Duration;

use plexus_media::BlobHash;
use plexus_storage::media::{Media, MediaContent};
use tokio::time::{Instant, timeout_at};

use super::{Asked, remote::find_remote};
use crate::{Ctx, ServiceError, error::Refusal};

/// Longest wait for a file that is still to come.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often somebody who waits looks for a file that another process has taken in; those of this one wake him.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How old the note of the last access may be.
const ACCESS_NOTED_EVERY_MS: i64 = 24 * 60 * 60 * 1000;

/// Whether whoever asks has shown an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A user.
    Token,
    /// Anybody, by the paths from before the specification asked for tokens.
    Nothing,
}

/// A file to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Under which it is kept.
    pub hash: BlobHash,
    /// Its length in bytes.
    pub size: u64,
    /// What it is.
    pub content_type: String,
    /// What it is called.
    pub file_name: Option<String>,
    /// Whether it is kept among the files of other servers.
    pub is_remote: bool,
}

/// The file of an id. If it is still to come, waits for it as long as `wait`.
pub async fn find(ctx: &Ctx, asked: Asked<'_>, shown: Shown, wait: Duration) -> Result<Found, ServiceError> {
    let wait = wait.min(WAIT_MAX);
    if asked.server_name != ctx.config.server_name {
        return find_remote(ctx, asked.server_name, asked.media_id, shown, wait).await;
    }
    find_local(ctx, asked.media_id, shown, wait).await
}

/// The file of an id of this server.
async fn find_local(ctx: &Ctx, media_id: &str, shown: Shown, wait: Duration) -> Result<Found, ServiceError> {
    let deadline = Instant::now() + wait;
    let mut arrivals = ctx.media.arrivals.subscribe();
    loop {
        let media = ctx.store.media(media_id).await?;
        let media = media.filter(|media| is_visible(media, shown, ctx.clock.now_ms()));
        let media = media.ok_or_else(|| ServiceError::not_found("there is no such file"))?;
        if let Some(content) = media.content {
            note_access(ctx, media_id, media.last_access_ms).await?;
            return Ok(found(content));
        }
        if Instant::now() >= deadline {
            let error = "the file has not been uploaded yet";
            return Err(ServiceError::refused(Refusal::NotYetUploaded, error));
        }
        let look = deadline.min(Instant::now() + LOOK_EVERY);
        // Woken or not, the next thing is to look.
        let _woken = timeout_at(look, arrivals.changed()).await;
    }
}

fn is_visible(media: &Media, shown: Shown, now_ms: i64) -> bool {
    match (&media.content, shown) {
        (Some(_), Shown::Token) => true,
        (Some(_), Shown::Nothing) => !media.needs_token,
        (None, Shown::Token | Shown::Nothing) => media.expires_ms.is_some_and(|expires_ms| expires_ms > now_ms),
    }
}

async fn note_access(ctx: &Ctx, media_id: &str, last_access_ms: i64) -> Result<(), ServiceError> {
    let now_ms = ctx.clock.now_ms();
    if now_ms - last_access_ms > ACCESS_NOTED_EVERY_MS {
        ctx.store.touch_media(media_id, now_ms).await?;
    }
    Ok(())
}

fn found(content: MediaContent) -> Found {
    Found {
        hash: BlobHash(content.hash),
        size: content.size,
        content_type: content.content_type,
        file_name: content.file_name,
        is_remote: false,
    }
}

/// Opens a file that was found.
pub async fn open(ctx: &Ctx, found: &Found) -> Result<std::fs::File, ServiceError> {
    let media = if found.is_remote {
        &ctx.remote_files.media
    } else {
        &ctx.media
    };
    let file = media.blobs.open(found.hash).await?;
    file.ok_or_else(|| {
        tracing::error!(media.hash = %found.hash, "the media folder lacks a file that the database has");
        ServiceError::not_found("there is no such file")
    })
}

//! Taking in files.

use bytes::Bytes;
use plexus_media::{Incoming, Turns, served, turns::Turn};
use plexus_storage::media::{MediaContent, MediaToCome};

use super::Asked;
use crate::{Ctx, Requester, ServiceError, error::Refusal, ids::random_text};

/// Random characters of a media id: 190 bits, as whoever knows one may have the file.
const MEDIA_ID_CHARS: usize = 32;
/// How long an id waits for its upload: what the specification recommends.
const TO_COME_MS: i64 = 24 * 60 * 60 * 1000;
/// Most ids of one user that wait for their uploads.
const TO_COME_MAX: i64 = 20;

/// What an uploader says about a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'a> {
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// What he calls it.
    pub file_name: Option<&'a str>,
}

/// A file being taken in. Gone, if it is dropped before its end.
#[derive(Debug)]
pub struct Upload {
    incoming: Incoming,
    _turn: Turn,
}

/// Waits for a turn to take in a file.
pub async fn begin(ctx: &Ctx, requester: &Requester) -> Result<Upload, ServiceError> {
    let turns: &Turns = &ctx.media.turns;
    let turn = turns.take(requester.user.0).await?;
    Ok(Upload {
        incoming: ctx.media.blobs.receive().await?,
        _turn: turn,
    })
}

impl Upload {
    /// Adds what comes next.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), ServiceError> {
        Ok(self.incoming.write(piece).await?)
    }
}

/// Stores a whole file under a new id; its URI comes back.
pub async fn finish(ctx: &Ctx, requester: &Requester, upload: Upload, said: Said<'_>) -> Result<String, ServiceError> {
    let content = content(upload, said).await?;
    let media_id = random_text(MEDIA_ID_CHARS);
    let (needs_token, now_ms) = (ctx.config.media.require_token, ctx.clock.now_ms());
    ctx.store
        .insert_media(&media_id, requester.user, &content, needs_token, now_ms)
        .await?;
    Ok(uri(ctx, &media_id))
}

/// Gives out an id for an upload to come; its URI, and until when.
pub async fn reserve(ctx: &Ctx, requester: &Requester) -> Result<(String, i64), ServiceError> {
    let media_id = random_text(MEDIA_ID_CHARS);
    let now_ms = ctx.clock.now_ms();
    let expires_ms = now_ms + TO_COME_MS;
    let to_come = MediaToCome {
        media_id: &media_id,
        user: requester.user,
        now_ms,
        expires_ms,
        of_user_max: TO_COME_MAX,
    };
    if ctx.store.insert_media_to_come(to_come).await? {
        Ok((uri(ctx, &media_id), expires_ms))
    } else {
        let error = "too many media ids wait for their uploads";
        Err(ServiceError::refused(Refusal::LimitExceeded, error))
    }
}

/// Makes sure that a user may upload to an id, before anything is read.
pub async fn check_reserved(ctx: &Ctx, requester: &Requester, asked: Asked<'_>) -> Result<(), ServiceError> {
    let unknown = || ServiceError::not_found("there is no such media id, or it has expired");
    let media_id = asked.local(&ctx.config.server_name).map_err(|_| unknown())?;
    let media = ctx.store.media(media_id).await?.ok_or_else(unknown)?;
    if media.user != requester.user {
        return Err(ServiceError::forbidden("the media id was given to somebody else"));
    }
    if media.content.is_some() {
        let error = "the media id has a file already";
        return Err(ServiceError::refused(Refusal::CannotOverwriteMedia, error));
    }
    if media
        .expires_ms
        .is_some_and(|expires_ms| expires_ms <= ctx.clock.now_ms())
    {
        return Err(unknown());
    }
    Ok(())
}

/// Stores a whole file under an id that was given out for it.
pub async fn finish_reserved(
    ctx: &Ctx,
    requester: &Requester,
    asked: Asked<'_>,
    upload: Upload,
    said: Said<'_>,
) -> Result<(), ServiceError> {
    let content = content(upload, said).await?;
    let media_id = asked.local(&ctx.config.server_name)?;
    let (needs_token, now_ms) = (ctx.config.media.require_token, ctx.clock.now_ms());
    let filled = ctx
        .store
        .fill_media(media_id, requester.user, &content, needs_token, now_ms)
        .await?;
    if !filled {
        // Another upload to the same id was faster, or it has expired meanwhile.
        check_reserved(ctx, requester, asked).await?;
        return Err(ServiceError::not_found("there is no such media id, or it has expired"));
    }
    ctx.media.arrivals.send_modify(|arrivals| *arrivals += 1);
    Ok(())
}

async fn content(upload: Upload, said: Said<'_>) -> Result<MediaContent, ServiceError> {
    let stored = upload.incoming.finish().await?;
    Ok(MediaContent {
        hash: stored.hash.0,
        size: stored.size,
        content_type: served::content_type(said.content_type.unwrap_or_default()).to_owned(),
        file_name: said.file_name.and_then(served::file_name),
    })
}

fn uri(ctx: &Ctx, media_id: &str) -> String {
    format!("mxc://{}/{media_id}", ctx.config.server_name)
}

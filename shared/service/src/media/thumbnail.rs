//! Giving out small pictures of large ones. Each is made once and then stored like an upload.

use std::time::Duration;

use plexus_media::{
    BlobHash, Method, Size,
    thumbnail::{Made, SIDE_MAX, Wanted},
};
use plexus_storage::{
    media::MediaContent,
    thumbnails::{Thumbnail, ThumbnailKey},
};

use super::{
    Asked,
    download::{Found, Shown, find},
    remote::{find_kept, keep, key},
};
use crate::{Ctx, ServiceError};

/// The size somebody asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    width: u32,
    height: u32,
    method: Method,
    animated: bool,
}

impl Asking {
    /// Refuses what no picture can be.
    pub fn parse(width: u64, height: u64, method: Method, animated: bool) -> Result<Self, ServiceError> {
        let side = |side: u64| {
            let side = u32::try_from(side).ok().filter(|side| (1..=SIDE_MAX).contains(side));
            let error = || ServiceError::invalid_param(format!("width and height are from 1 to {SIDE_MAX}"));
            side.ok_or_else(error)
        };
        Ok(Self {
            width: side(width)?,
            height: side(height)?,
            method,
            animated,
        })
    }
}

/// The thumbnail of an id's file.
pub async fn find_thumbnail(
    ctx: &Ctx,
    asked: Asked<'_>,
    asking: Asking,
    shown: Shown,
    wait: Duration,
) -> Result<Found, ServiceError> {
    if asked.server_name != ctx.config.server_name {
        return find_remote_thumbnail(ctx, asked, asking, shown, wait).await;
    }
    let source = find(ctx, asked, shown, wait).await?;
    let size = Size::kept(asking.width, asking.height, asking.method).unwrap_or(Size::original(asking.method));
    let wanted = Wanted {
        source: source.hash,
        size,
        animated: asking.animated,
    };
    let key = ThumbnailKey {
        hash: source.hash.0,
        width: size.width,
        height: size.height,
        crop: size.method == Method::Crop,
        animated: asking.animated,
    };
    let thumbnail = match ctx.store.thumbnail(key).await? {
        Some(thumbnail) => thumbnail,
        None => make_once(ctx, key, wanted, &source).await?,
    };
    Ok(Found {
        hash: BlobHash(thumbnail.hash),
        size: thumbnail.size,
        file_name: Some(file_name(&thumbnail.content_type)),
        content_type: thumbnail.content_type,
        is_remote: false,
    })
}

/// The thumbnail of another server's file: made here, and kept beside the file.
async fn find_remote_thumbnail(
    ctx: &Ctx,
    asked: Asked<'_>,
    asking: Asking,
    shown: Shown,
    wait: Duration,
) -> Result<Found, ServiceError> {
    let size = Size::kept(asking.width, asking.height, asking.method).unwrap_or(Size::original(asking.method));
    let animated = if asking.animated { "-animated" } else { "" };
    let variant = format!("{}x{}-{:?}{animated}", size.width, size.height, size.method).to_lowercase();
    let key = key(asked.server_name, asked.media_id, &variant);
    if let Some(found) = find_kept(ctx, &key, shown).await? {
        return Ok(found);
    }
    let source = find(ctx, asked, shown, wait).await?;
    let wanted = Wanted {
        source: source.hash,
        size,
        animated: asking.animated,
    };
    let media = &ctx.remote_files.media;
    let _claim = media.thumbnails.claim(wanted).await;
    if let Some(found) = find_kept(ctx, &key, shown).await? {
        return Ok(found);
    }
    let content = match media.thumbnails.make(wanted).await? {
        Made::Original { content_type } => MediaContent {
            hash: source.hash.0,
            size: source.size,
            content_type: content_type.to_owned(),
            file_name: Some(file_name(content_type)),
        },
        Made::Picture { file, content_type } => {
            let stored = media.blobs.insert(file.into()).await?;
            MediaContent {
                hash: stored.hash.0,
                size: stored.size,
                content_type: content_type.to_owned(),
                file_name: Some(file_name(content_type)),
            }
        }
    };
    let found = Found {
        hash: BlobHash(content.hash),
        size: content.size,
        content_type: content.content_type.clone(),
        file_name: content.file_name.clone(),
        is_remote: true,
    };
    // Whoever may see the picture may see it small.
    let is_open = shown == Shown::Nothing;
    keep(ctx, &key, content, is_open).await?;
    Ok(found)
}

/// Makes a thumbnail, unless somebody else does so already: then waits for his.
async fn make_once(ctx: &Ctx, key: ThumbnailKey, wanted: Wanted, source: &Found) -> Result<Thumbnail, ServiceError> {
    let _claim = ctx.media.thumbnails.claim(wanted).await;
    if let Some(thumbnail) = ctx.store.thumbnail(key).await? {
        return Ok(thumbnail);
    }
    let thumbnail = match ctx.media.thumbnails.make(wanted).await? {
        Made::Original { content_type } => Thumbnail {
            hash: source.hash.0,
            size: source.size,
            content_type: content_type.to_owned(),
        },
        Made::Picture { file, content_type } => {
            let stored = ctx.media.blobs.insert(file.into()).await?;
            Thumbnail {
                hash: stored.hash.0,
                size: stored.size,
                content_type: content_type.to_owned(),
            }
        }
    };
    ctx.store.insert_thumbnail(key, &thumbnail, ctx.clock.now_ms()).await?;
    Ok(thumbnail)
}

fn file_name(content_type: &str) -> String {
    let ending = content_type.rsplit('/').next().unwrap_or_default();
    format!("thumbnail.{}", ending.replace("jpeg", "jpg"))
}

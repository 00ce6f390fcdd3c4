//! The answer with a file in it, and what it says to browsers.

use std::ops::Range;

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use futures_util::StreamExt as _;
use plexus_media::served;
use plexus_service::media::download::{Found, Shown, open};

use super::range::{Part, part};
use crate::{
    call::Call,
    error::Error,
    http::{Body, Reply},
};

/// What is fixed for every file.
const SAFE: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, served::CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::ACCEPT_RANGES, "bytes"),
];
/// A file never changes. What was given to a user is for his eyes.
const CACHE_OF_USER: &str = "private, max-age=31536000, immutable";
/// What everybody may have may be kept by caches between, for a day, after which they ask whether it is still there.
const CACHE_OF_ALL: &str = "public, max-age=86400, immutable";

/// Answers with a file, or the part of it that the request asks for, or that the client has it already.
pub(super) async fn send(call: &Call, found: Found, shown: Shown) -> Result<Reply, Error> {
    let etag = format!("\"{}\"", found.hash);
    let asked = call.request.headers();
    if has_already(asked, &etag) {
        let reply = reply(StatusCode::NOT_MODIFIED, Body::Whole(Vec::new().into()));
        return Ok(with_headers(reply, caching(&etag, shown)?));
    }
    let all = 0..found.size;
    let (status, range) = match part(asked, found.size, &etag) {
        Part::Whole => (StatusCode::OK, all),
        Part::Bytes(range) => (StatusCode::PARTIAL_CONTENT, range),
        Part::None => {
            let unsatisfied = reply(StatusCode::RANGE_NOT_SATISFIABLE, Body::Whole(Vec::new().into()));
            let size = (header::CONTENT_RANGE, value(&format!("bytes */{}", found.size))?);
            return Ok(with_headers(unsatisfied, [size]));
        }
    };
    let file = open(call.ctx(), &found).await?;
    let body = Body::Pieces {
        length: range.end - range.start,
        pieces: call.ctx().media.blobs.pieces(file, range.clone()).boxed_local(),
    };
    let reply = with_headers(reply(status, body), caching(&etag, shown)?);
    let reply = with_headers(reply, description(&found)?);
    Ok(match status {
        StatusCode::PARTIAL_CONTENT => with_headers(reply, [content_range(&range, found.size)?]),
        _ => reply,
    })
}

/// Whether one of the tags that the client names is that of the file.
fn has_already(asked: &HeaderMap, etag: &str) -> bool {
    let tags = asked.get_all(header::IF_NONE_MATCH).iter();
    let tags = tags
        .filter_map(|tags| tags.to_str().ok())
        .flat_map(|tags| tags.split(','));
    // Caches on the way may have made a tag weak.
    tags.map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == etag || tag == "*")
}

fn reply(status: StatusCode, body: Body) -> Reply {
    let mut reply = Reply::new(body);
    *reply.status_mut() = status;
    let safe = SAFE.map(|(name, value)| (name, HeaderValue::from_static(value)));
    with_headers(reply, safe)
}

fn caching(etag: &str, shown: Shown) -> Result<[(HeaderName, HeaderValue); 2], Error> {
    let cache = match shown {
        Shown::Token => CACHE_OF_USER,
        Shown::Nothing => CACHE_OF_ALL,
    };
    Ok([
        (header::ETAG, value(etag)?),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
    ])
}

fn description(found: &Found) -> Result<[(HeaderName, HeaderValue); 2], Error> {
    let disposition = served::disposition(&found.content_type, found.file_name.as_deref());
    Ok([
        (header::CONTENT_TYPE, value(&found.content_type)?),
        (header::CONTENT_DISPOSITION, value(&disposition)?),
    ])
}

fn content_range(range: &Range<u64>, size: u64) -> Result<(HeaderName, HeaderValue), Error> {
    let text = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
    Ok((header::CONTENT_RANGE, value(&text)?))
}

/// Types and names are made so that they fit; what does not must not go out.
fn value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(Error::internal)
}

fn with_headers<const N: usize>(mut reply: Reply, headers: [(HeaderName, HeaderValue); N]) -> Reply {
    reply
        .headers_mut()
        .extend(headers.map(|(name, value)| (Some(name), value)));
    reply
}

//! Reading a body that is bounded.

use actix_web::{HttpRequest, http::header, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use crate::error::Error;

/// The length a request announces.
pub fn announced_length(request: &HttpRequest) -> Option<u64> {
    request
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Refuses a body that announces to be longer than `cap` bytes, before any of it is read.
pub fn check_length(request: &HttpRequest, cap: usize) -> Result<(), Error> {
    match announced_length(request) {
        Some(length) if length > cap as u64 => Err(too_large(cap)),
        Some(_) | None => Ok(()),
    }
}

/// The whole body, if it has at most `cap` bytes.
pub async fn read(mut payload: web::Payload, cap: usize) -> Result<Bytes, Error> {
    let Some(first) = payload.next().await else {
        return Ok(Bytes::new());
    };
    let first = first.map_err(|_| broken())?;
    // Most bodies come in one piece, which then is not copied.
    let Some(second) = payload.next().await else {
        return if first.len() > cap {
            Err(too_large(cap))
        } else {
            Ok(first)
        };
    };
    let mut body = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        body.extend_from_slice(&chunk.map_err(|_| broken())?);
        if body.len() > cap {
            return Err(too_large(cap));
        }
        next = payload.next().await;
    }
    Ok(body.freeze())
}

/// The error for a body of more than `cap` bytes.
pub fn too_large(cap: usize) -> Error {
    Error::too_large(format!("the body has more than {cap} bytes"))
}

fn broken() -> Error {
    Error::not_json("the body ended early or is not well encoded")
}

//! Reading a body that is bounded, in size and in slowness.

use std::{fmt, time::Duration};

use actix_web::{HttpRequest, http::header, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use crate::error::Error;

/// How slowly a body may come.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// How long the next piece may take.
    piece_max: Duration,
    /// After how long it has to have come at [`SLOWEST_BYTES_PER_S`] on the average: else a byte now and then would hold its place for ever.
    slow_start: Duration,
}

const PACE: Pace = Pace {
    piece_max: Duration::from_secs(30),
    slow_start: Duration::from_secs(60),
};
/// Slower than any line that people still use.
const SLOWEST_BYTES_PER_S: u64 = 1024;

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

/// A body on its way in, held to its limits of size and of slowness.
pub struct Payload {
    pieces: web::Payload,
    cap: usize,
    read: usize,
    started: Instant,
    pace: Pace,
}

impl Payload {
    /// A body of at most `cap` bytes, none of which has been read.
    pub(crate) fn new(pieces: web::Payload, cap: usize) -> Self {
        Self {
            pieces,
            cap,
            read: 0,
            started: Instant::now(),
            pace: PACE,
        }
    }

    /// The next piece; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let slowest = self.pace.slow_start + Duration::from_secs(self.read as u64 / SLOWEST_BYTES_PER_S);
        let deadline = (self.started + slowest).min(Instant::now() + self.pace.piece_max);
        let piece = timeout_at(deadline, self.pieces.next()).await;
        let Some(piece) = piece.map_err(|_| Error::too_slow())? else {
            return Ok(None);
        };
        let piece = piece.map_err(|_| broken())?;
        self.read = self.read.saturating_add(piece.len());
        if self.read > self.cap {
            return Err(too_large(self.cap));
        }
        Ok(Some(piece))
    }

    /// All of it.
    pub(crate) async fn read(mut self) -> Result<Bytes, Error> {
        let Some(first) = self.next().await? else {
            return Ok(Bytes::new());
        };
        // Most bodies come in one piece, which then is not copied.
        let Some(second) = self.next().await? else {
            return Ok(first);
        };
        let mut body = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(piece) = next {
            body.extend_from_slice(&piece);
            next = self.next().await?;
        }
        Ok(body.freeze())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("cap", &self.cap)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

/// The error for a body of more than `cap` bytes.
pub fn too_large(cap: usize) -> Error {
    Error::too_large(format!("the body has more than {cap} bytes"))
}

fn broken() -> Error {
    Error::not_json("the body ended early or is not well encoded")
}

#[cfg(test)]
mod tests {
    use actix_web::{FromRequest as _, dev, error::PayloadError, test::TestRequest};
    use futures_util::{
        Stream,
        stream::{self, pending},
    };

    use super::*;

    async fn payload(pieces: impl Stream<Item = Result<Bytes, PayloadError>> + 'static, pace: Pace) -> Payload {
        let pieces: std::pin::Pin<Box<dyn Stream<Item = _>>> = Box::pin(pieces);
        let mut pieces = dev::Payload::from(pieces);
        let request = TestRequest::default().to_http_request();
        let pieces = web::Payload::from_request(&request, &mut pieces)
            .await
            .expect("a payload");
        Payload {
            pace,
            ..Payload::new(pieces, 10)
        }
    }

    #[tokio::test]
    async fn hostile_13_a_body_that_stops_coming_is_given_up() {
        let pace = Pace {
            piece_max: Duration::from_millis(10),
            ..PACE
        };
        let pieces = stream::iter([Ok(Bytes::from_static(b"abc"))]).chain(pending());
        let mut body = payload(pieces, pace).await;
        assert_eq!(body.next().await.expect("in time").as_deref(), Some(&b"abc"[..]));
        assert_eq!(body.next().await.expect_err("too slow").status(), 408);
    }

    #[tokio::test]
    async fn hostile_13_a_byte_now_and_then_is_too_slow() {
        let pace = Pace {
            slow_start: Duration::from_millis(20),
            ..PACE
        };
        let pieces = stream::iter([Ok(Bytes::from_static(b"a"))]).chain(pending());
        let mut body = payload(pieces, pace).await;
        body.next().await.expect("in time");
        assert_eq!(body.next().await.expect_err("too slow").status(), 408);
    }

    #[tokio::test]
    async fn hostile_13_a_body_longer_than_its_cap_is_cut_off() {
        let pieces = || stream::iter([Ok(Bytes::from_static(b"123456")), Ok(Bytes::from_static(b"78901"))]);
        let error = payload(pieces(), PACE).await.read().await.expect_err("too long");
        assert_eq!(error.status(), 413);
        let whole = payload(pieces().take(1), PACE)
            .await
            .read()
            .await
            .expect("short enough");
        assert_eq!(&whole[..], b"123456");
    }
}

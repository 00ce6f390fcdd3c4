//! A request's body on its way from actix, whose payload stays in its thread, to hyper, whose body may not.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use actix_web::{HttpRequest, http::header, web};
use bytes::Bytes;
use futures_util::StreamExt as _;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::extract::body::announced_length;

/// Pieces read ahead of what the other process has taken. actix reads at most 64 kB into one.
const PIECES_AHEAD_MAX: usize = 4;

/// A body being passed on. Its clones are one body, so that a request that reached nobody can be sent again.
#[derive(Clone, Debug)]
pub(super) struct Upload(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// `None` if the request has no body.
    pieces: Option<Mutex<mpsc::Receiver<Result<Bytes, Broken>>>>,
    length: Option<u64>,
    cap: usize,
    started: AtomicBool,
    too_large: AtomicBool,
}

/// The client's body ended early, or had more bytes than its route takes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request's body cannot be passed on")]
pub(super) struct Broken;

impl Upload {
    /// Starts to read the payload, a few pieces ahead, at most `cap` bytes in all.
    pub(super) fn start(request: &HttpRequest, payload: web::Payload, cap: usize) -> Self {
        let length = announced_length(request);
        let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        let has_body = chunked || length.is_some_and(|length| length > 0);
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD_MAX);
        let upload = Self(Arc::new(Shared {
            pieces: has_body.then_some(Mutex::new(receiver)),
            length: if chunked { None } else { Some(length.unwrap_or(0)) },
            cap,
            started: AtomicBool::new(false),
            too_large: AtomicBool::new(false),
        }));
        if has_body {
            actix_web::rt::spawn(pump(upload.clone(), payload, sender));
        }
        upload
    }

    /// Whether any of it may have been sent.
    pub(super) fn has_started(&self) -> bool {
        self.0.started.load(Ordering::Acquire)
    }

    /// Whether the client sent more than `cap` bytes.
    pub(super) fn is_too_large(&self) -> bool {
        self.0.too_large.load(Ordering::Acquire)
    }

    pub(super) fn cap(&self) -> usize {
        self.0.cap
    }
}

async fn pump(upload: Upload, mut payload: web::Payload, sender: mpsc::Sender<Result<Bytes, Broken>>) {
    let cap = upload.cap();
    let state = Arc::downgrade(&upload.0);
    // Only the request holds on to the body: when it is given up, sending fails and this task ends.
    drop(upload);
    let mut read = 0_usize;
    while let Some(piece) = payload.next().await {
        let mut piece = piece.map_err(|_| Broken);
        read += piece.as_ref().map_or(0, Bytes::len);
        if read > cap {
            if let Some(state) = state.upgrade() {
                state.too_large.store(true, Ordering::Release);
            }
            piece = Err(Broken);
        }
        let broken = piece.is_err();
        if sender.send(piece).await.is_err() || broken {
            return;
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0.started.store(true, Ordering::Release);
        let Some(pieces) = &self.0.pieces else {
            return Poll::Ready(None);
        };
        let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces
            .poll_recv(context)
            .map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.pieces.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

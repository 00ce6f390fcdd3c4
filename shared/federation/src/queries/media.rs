//! `GET /_matrix/federation/v1/media/download/{mediaId}`, and how files were had before it: files of other servers.

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use ruma::ServerName;
use serde::Deserialize;

use crate::{
    Federation,
    multipart::{MultipartError, Parts, boundary},
    outbound::{Opened, OutboundError, Pieces, ToServer},
    request::{BackOff, Outgoing, RequestError, encode},
    transport::TransportError,
};

/// How long the other server waits for a file that is still to come, in milliseconds.
const WAIT_MS: u64 = 20_000;
/// Most bytes of what is not the file: what is said about it, or why there is none.
const REMARKS_BYTES_MAX: usize = 64 * 1024;
/// Most redirects to where a file is that are followed.
const REDIRECTS_MAX: usize = 3;
/// The versions of the endpoint from before files were only for those who are known.
const OPEN_VERSIONS: [&str; 2] = ["v3", "r0"];

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The server does not have it.
    #[error("the server has no such file")]
    NotFound,
    /// The server does not know the endpoint.
    #[error("the server does not give out files in this way")]
    Unrecognized,
    /// It answers with something else.
    #[error("the server answers with {0}")]
    Refused(String),
    /// The server cannot be asked.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The server cannot be reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The file does not come, or is too long.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// What comes is not as it should be.
    #[error(transparent)]
    Multipart(#[from] MultipartError),
}

impl FileError {
    /// Whether the file is longer than it may be.
    pub fn is_too_long(&self) -> bool {
        matches!(
            self,
            Self::Outbound(OutboundError::TooLong) | Self::Multipart(MultipartError::Outbound(OutboundError::TooLong))
        )
    }
}

/// A file on its way. Only on the runtime that connections live on.
#[derive(Debug)]
pub struct RemoteFile {
    /// What its server says it is.
    pub content_type: Option<String>,
    /// How it is to be shown, and under which name.
    pub disposition: Option<String>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Part(Box<Parts>),
    Whole(Pieces),
}

impl RemoteFile {
    fn new(headers: &HeaderMap, source: Source) -> Self {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self {
            content_type: text(header::CONTENT_TYPE),
            disposition: text(header::CONTENT_DISPOSITION),
            source,
        }
    }

    /// What comes next; nothing at the end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, FileError> {
        Ok(match &mut self.source {
            Source::Part(parts) => parts.piece().await?,
            Source::Whole(pieces) => pieces.next().await?,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    errcode: String,
}

impl Federation {
    /// Begins to fetch a file of a server, of at most `bytes_max` bytes. How long that takes is the caller's to bound.
    pub async fn open_file(
        &self,
        server: &ServerName,
        media_id: &str,
        bytes_max: usize,
    ) -> Result<RemoteFile, FileError> {
        let id = encode(media_id);
        let target = format!("/_matrix/federation/v1/media/download/{id}?timeout_ms={WAIT_MS}");
        let mut request = Outgoing::get(server, target);
        request.back_off = BackOff::Respect;
        request.limits.answer_bytes_max = bytes_max.saturating_add(REMARKS_BYTES_MAX);
        let opened = self.open(&request).await?;
        if !opened.status.is_success() {
            return Err(refused(opened).await);
        }
        let content_type = opened.headers.get(header::CONTENT_TYPE);
        let boundary = content_type.and_then(|value| boundary(value.to_str().ok()?));
        let Some(boundary) = boundary.map(str::to_owned) else {
            return Err(FileError::Refused("a body that is not in parts".to_owned()));
        };
        let mut parts = Parts::new(opened.body, &boundary);
        parts.first().await?;
        let (_remarks, headers) = parts.next(REMARKS_BYTES_MAX).await?;
        match headers.get(header::LOCATION) {
            Some(location) => {
                let location = location.to_str().unwrap_or_default();
                self.follow(location.to_owned(), bytes_max).await
            }
            None => Ok(RemoteFile::new(&headers, Source::Part(Box::new(parts)))),
        }
    }

    /// The same as anybody can, who need not say who he is.
    pub async fn open_file_openly(
        &self,
        server: &ServerName,
        media_id: &str,
        bytes_max: usize,
    ) -> Result<RemoteFile, FileError> {
        let path = format!("{}/{}", encode(server.as_str()), encode(media_id));
        let mut outcome = Err(FileError::Unrecognized);
        for version in OPEN_VERSIONS {
            let target = format!(
                "/_matrix/media/{version}/download/{path}?allow_remote=false&allow_redirect=true&timeout_ms={WAIT_MS}"
            );
            let request = ToServer {
                method: Method::GET,
                target: &target,
                authorization: None,
                content: None,
            };
            let opened = self.transport().open(server, &request, bytes_max).await?;
            outcome = self.whole(opened, bytes_max).await;
            if !matches!(outcome, Err(FileError::Unrecognized)) {
                break;
            }
        }
        outcome
    }

    /// A file that is all of an answer, or somewhere else.
    async fn whole(&self, opened: Opened, bytes_max: usize) -> Result<RemoteFile, FileError> {
        if opened.status.is_success() {
            return Ok(RemoteFile::new(&opened.headers, Source::Whole(opened.body)));
        }
        match opened.headers.get(header::LOCATION) {
            Some(location) if opened.status.is_redirection() => {
                let location = location.to_str().unwrap_or_default();
                self.follow(location.to_owned(), bytes_max).await
            }
            Some(_) | None => Err(refused(opened).await),
        }
    }

    /// Fetches a file from where a server says that it is.
    async fn follow(&self, mut location: String, bytes_max: usize) -> Result<RemoteFile, FileError> {
        for _ in 0..REDIRECTS_MAX {
            let opened = self.transport().open_web(&location, bytes_max).await?;
            if opened.status.is_success() {
                return Ok(RemoteFile::new(&opened.headers, Source::Whole(opened.body)));
            }
            let next = opened.headers.get(header::LOCATION);
            match next.and_then(|next| next.to_str().ok()) {
                Some(next) if opened.status.is_redirection() => location = next.to_owned(),
                Some(_) | None => return Err(refused(opened).await),
            }
        }
        Err(FileError::Refused("too many redirects".to_owned()))
    }
}

/// What an answer without a file means.
async fn refused(opened: Opened) -> FileError {
    let (status, mut body) = (opened.status, opened.body);
    let mut text = Vec::new();
    while text.len() < REMARKS_BYTES_MAX
        && let Ok(Some(piece)) = body.next().await
    {
        text.extend_from_slice(&piece);
    }
    let refusal: Refusal = serde_json::from_slice(&text).unwrap_or_default();
    match (status.as_u16(), refusal.errcode.as_str()) {
        (_, "M_NOT_FOUND") => FileError::NotFound,
        (400 | 404 | 405, "M_UNRECOGNIZED" | "") => FileError::Unrecognized,
        (_, errcode) => FileError::Refused(format!("{status} {errcode:.100}")),
    }
}

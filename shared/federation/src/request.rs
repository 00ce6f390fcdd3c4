//! Signed requests: out to other servers, and in from them.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use metrics::counter;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use plexus_core::event::JsonError;
use plexus_storage::StoreError;
use ruma::{OwnedServerName, ServerName};
use serde::Deserialize;

use crate::{
    Federation,
    flights::run_elsewhere,
    metrics::{AUTHENTICATED_TOTAL, REQUESTS_TOTAL},
    outbound::{Answer, Limits, Opened, ToServer},
    transport::TransportError,
    x_matrix::{Signed, XMatrix, XMatrixError},
};

/// How long an ordinary request may take.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of an ordinary answer.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most `Authorization` headers of one request that are tried: one for each key a server signs with.
const AUTHORIZATIONS_MAX: usize = 4;
/// What is escaped in paths and queries: all but what RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// How much of an error's text is kept.
const ERROR_CHARS_MAX: usize = 200;

/// What a request does about a server that did not answer lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackOff {
    /// It waits with everybody else, and says so when the server fails again.
    Respect,
    /// It waits with everybody else, but its failure makes nobody wait longer: anybody can make this server send it.
    Heed,
    /// Somebody waits for the answer: it is sent whatever was before, and its failure makes nobody wait longer.
    Ignore,
}

/// A request to another server.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Whom it is for.
    pub destination: OwnedServerName,
    /// The method.
    pub method: Method,
    /// Path and query, encoded.
    pub target: String,
    /// The body, a JSON object; none for GET.
    pub content: Option<Bytes>,
    /// How much of an exchange there may be.
    pub limits: Limits,
    /// What it does about a server that did not answer lately.
    pub back_off: BackOff,
}

impl Outgoing {
    /// A question that somebody waits for.
    pub fn get(destination: &ServerName, target: String) -> Self {
        Self {
            destination: destination.to_owned(),
            method: Method::GET,
            target,
            content: None,
            limits: Limits {
                timeout: TIMEOUT,
                answer_bytes_max: ANSWER_BYTES_MAX,
            },
            back_off: BackOff::Ignore,
        }
    }

    /// The same with a body.
    pub fn with_body(destination: &ServerName, method: Method, target: String, content: impl Into<Bytes>) -> Self {
        Self {
            method,
            content: Some(content.into()),
            ..Self::get(destination, target)
        }
    }
}

/// A value as part of a path or a query.
pub fn encode(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It is for this server itself.
    #[error("a request of this server to itself")]
    Ourselves,
    /// The server did not answer lately, and is left alone for now.
    #[error("{server} did not answer lately; it is asked again at {retry_at_ms}")]
    NotNow {
        /// Which server.
        server: OwnedServerName,
        /// From when on.
        retry_at_ms: i64,
    },
    /// It cannot be found or reached, or did not answer in time.
    #[error("{server}: {source}")]
    Transport {
        /// Which server.
        server: OwnedServerName,
        /// Why.
        source: TransportError,
    },
    /// It answered with an error.
    #[error("{server} answers {status} {errcode}: {error}")]
    Refused {
        /// Which server.
        server: OwnedServerName,
        /// The status.
        status: StatusCode,
        /// `M_...`, or empty.
        errcode: String,
        /// What it says, cut.
        error: String,
        /// The version of the room, with `M_INCOMPATIBLE_ROOM_VERSION`; cut.
        room_version: Option<String>,
    },
    /// The body is no JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// What is known of the server cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The process stops.
    #[error("the process is stopping")]
    Stopping,
}

impl Federation {
    /// Sends a signed request. An answer is one of success; others are errors.
    pub async fn send(&self, request: Outgoing) -> Result<Answer, RequestError> {
        let server = &request.destination;
        if *server == self.server_name() {
            return Err(RequestError::Ourselves);
        }
        self.require_due(&request).await?;
        let (federation, sent) = (self.clone(), request.clone());
        let outcome = run_elsewhere(self.spawn(), async move { federation.exchange(&sent).await }).await;
        let outcome = outcome.ok_or(RequestError::Stopping)?;
        let ended = match &outcome {
            Ok(answer) if answer.status.is_success() => "answered",
            Ok(_) => "refused",
            Err(_) => "failed",
        };
        counter!(REQUESTS_TOTAL, "outcome" => ended).increment(1);
        let is_alive = match &outcome {
            Ok(answer) => is_alive(answer.status),
            Err(RequestError::Transport { .. }) => false,
            // A mistake of ours says nothing of the server.
            Err(_) => return outcome,
        };
        if is_alive {
            self.destinations().note_alive(server).await?;
        } else if request.back_off == BackOff::Respect {
            self.destinations().note_failed(server).await?;
        }
        let answer = outcome?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(refused(request.destination, &answer))
        }
    }

    /// Nothing is sent now to a server that is waited for, unless the request does not wait.
    async fn require_due(&self, request: &Outgoing) -> Result<(), RequestError> {
        let server = &request.destination;
        let paused = match request.back_off {
            BackOff::Respect | BackOff::Heed => self.destinations().paused_until_ms(server).await?,
            BackOff::Ignore => None,
        };
        match paused {
            None => Ok(()),
            Some(retry_at_ms) => {
                let server = server.clone();
                Err(RequestError::NotNow { server, retry_at_ms })
            }
        }
    }

    /// Sends a signed request and gives the answer as it comes, whatever it is; only on the runtime that connections live on. How long that takes is the
    /// caller's to bound.
    pub async fn open(&self, request: &Outgoing) -> Result<Opened, RequestError> {
        let server = &request.destination;
        if *server == self.server_name() {
            return Err(RequestError::Ourselves);
        }
        self.require_due(request).await?;
        let to_server = self.signed(request)?;
        let opened = self
            .transport()
            .open(server, &to_server, request.limits.answer_bytes_max);
        opened.await.map_err(|source| RequestError::Transport {
            server: server.clone(),
            source,
        })
    }

    async fn exchange(&self, request: &Outgoing) -> Result<Answer, RequestError> {
        let to_server = self.signed(request)?;
        let exchanged = self
            .transport()
            .exchange(&request.destination, &to_server, request.limits)
            .await;
        exchanged.map_err(|source| RequestError::Transport {
            server: request.destination.clone(),
            source,
        })
    }

    fn signed<'a>(&self, request: &'a Outgoing) -> Result<ToServer<'a>, RequestError> {
        let signed = Signed {
            method: request.method.as_str(),
            target: &request.target,
            content: request.content.as_deref(),
        };
        let header = signed.sign(self.server_name(), &request.destination, &self.keys().own().signing)?;
        let authorization = HeaderValue::try_from(header.to_header());
        let authorization = authorization.expect("names, key ids and base64 are visible ASCII");
        Ok(ToServer {
            method: request.method.clone(),
            target: &request.target,
            authorization: Some(authorization),
            content: request.content.clone(),
        })
    }
}

/// Whether a server that answers so is there: it may refuse one request and take the next. One that is overloaded, or whose proxy finds nothing behind
/// itself, is not.
fn is_alive(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS
}

fn refused(server: OwnedServerName, answer: &Answer) -> RequestError {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        errcode: String,
        error: String,
        room_version: Option<String>,
    }
    let Body {
        errcode,
        error,
        room_version,
    } = serde_json::from_slice(&answer.body).unwrap_or_default();
    let cut = |text: String| -> String {
        let shown = text.chars().filter(|character| !character.is_control());
        shown.take(ERROR_CHARS_MAX).collect()
    };
    RequestError::Refused {
        server,
        status: answer.status,
        errcode: cut(errcode),
        error: cut(error),
        room_version: room_version.map(cut),
    }
}

/// Why a request is not believed to be another server's.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// Nothing shows who sent it.
    #[error("the request is not signed")]
    Unsigned,
    /// What should show it is malformed.
    #[error(transparent)]
    Header(#[from] XMatrixError),
    /// It is for another server.
    #[error("the request is for {0}")]
    OtherDestination(OwnedServerName),
    /// Nobody but this server can sign in its name, and it asks nothing of itself.
    #[error("the request is said to be this server's own")]
    Ourselves,
    /// The key cannot be had, or is not valid now.
    #[error("no valid key {key_id} of {server} can be found")]
    NoKey {
        /// Whose.
        server: OwnedServerName,
        /// Which.
        key_id: String,
    },
    /// The signature is not the key's, or is of another request.
    #[error("the signature of {0} does not match")]
    Mismatch(OwnedServerName),
    /// The body is no JSON that can be signed.
    #[error("the body is not valid JSON: {0}")]
    Json(#[from] JsonError),
    /// Keys cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Federation {
    /// Finds out which server has signed a request, by its `Authorization` headers: all of them have to be right.
    pub async fn authenticate(
        &self,
        authorizations: &[&str],
        request: Signed<'_>,
    ) -> Result<OwnedServerName, AuthenticationError> {
        let origin = self.origin(authorizations, request).await;
        let believed = if origin.is_ok() { "yes" } else { "no" };
        counter!(AUTHENTICATED_TOTAL, "believed" => believed).increment(1);
        origin
    }

    async fn origin(
        &self,
        authorizations: &[&str],
        request: Signed<'_>,
    ) -> Result<OwnedServerName, AuthenticationError> {
        let mut origin: Option<OwnedServerName> = None;
        for authorization in authorizations.iter().take(AUTHORIZATIONS_MAX) {
            let header = XMatrix::parse(authorization)?;
            if origin.as_ref().is_some_and(|origin| *origin != header.origin) {
                return Err(AuthenticationError::Mismatch(header.origin));
            }
            self.check(&header, request).await?;
            origin = Some(header.origin);
        }
        let origin = origin.ok_or(AuthenticationError::Unsigned)?;
        self.destinations().note_alive(&origin).await?;
        Ok(origin)
    }

    async fn check(&self, header: &XMatrix, request: Signed<'_>) -> Result<(), AuthenticationError> {
        if let Some(destination) = &header.destination
            && *destination != self.server_name()
        {
            return Err(AuthenticationError::OtherDestination(destination.clone()));
        }
        if header.origin == self.server_name() {
            return Err(AuthenticationError::Ourselves);
        }
        let key = self.keys().for_request(&header.origin, &header.key_id).await?;
        let key = key.ok_or_else(|| AuthenticationError::NoKey {
            server: header.origin.clone(),
            key_id: header.key_id.clone(),
        })?;
        if request.verify(header, &key)? {
            Ok(())
        } else {
            Err(AuthenticationError::Mismatch(header.origin.clone()))
        }
    }
}

#[cfg(test)]
mod tests;

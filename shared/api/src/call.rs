//! One request on its way to its handler.

use std::sync::Arc;

use ::http::Request;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use plexus_service::{Ctx, Requester};
use ruma::{
    OwnedServerName, ServerName,
    api::{IncomingRequest, OutgoingResponse, OutgoingResponseExt as _},
};

use crate::{
    app::App,
    error::Error,
    extract::{self, body::Payload},
    http::Reply,
    routes::Route,
};

/// What a handler is: from a request to a reply or an error.
pub type Handler = fn(Call) -> LocalBoxFuture<'static, Result<Reply, Error>>;

/// A request that has been matched, authenticated and read.
#[derive(Debug)]
pub struct Call {
    pub app: Arc<App>,
    pub route: &'static Route,
    /// Head and body as they came in; the body is empty if the handler reads it itself.
    pub request: Request<Bytes>,
    /// A body that the handler reads piece by piece: see [`BodyKind::File`](crate::routes::BodyKind::File).
    pub payload: Option<Payload>,
    /// The variable segments of the path, decoded.
    pub path: Vec<String>,
    /// The transaction id at the path's end, for routes that say so.
    pub transaction: Option<String>,
    /// Who asks. Present if the route asks for a user.
    pub requester: Option<Requester>,
    /// The hash of the access token the route asked for.
    pub token_hash: Option<[u8; 32]>,
    /// Which server asks. Present if the route is for servers.
    pub origin: Option<OwnedServerName>,
}

impl Call {
    /// What the service functions are given.
    pub fn ctx(&self) -> &Ctx {
        &self.app.ctx
    }

    /// Who asks.
    pub fn requester(&self) -> Result<&Requester, Error> {
        self.requester.as_ref().ok_or_else(Error::missing_token)
    }

    /// Which server asks.
    pub fn origin(&self) -> Result<&ServerName, Error> {
        let origin = self.origin.as_deref();
        origin.ok_or_else(|| Error::unauthorized("the request is not signed"))
    }

    /// One of the variable segments of the path, decoded.
    pub fn segment(&self, index: usize) -> &str {
        self.path.get(index).map(String::as_str).unwrap_or_default()
    }

    /// The query, without its question mark and not decoded.
    pub fn query(&self) -> &str {
        self.request.uri().query().unwrap_or_default()
    }
}

/// Runs a handler of ruma's types.
pub async fn typed<R: IncomingRequest>(
    mut call: Call,
    handle: impl AsyncFnOnce(Call, R) -> Result<R::OutgoingResponse, Error>,
) -> Result<Reply, Error> {
    let request = extract::request::parse::<R>(&mut call)?;
    reply(handle(call, request).await?)
}

/// Runs a handler that takes ruma's request and writes its JSON itself.
pub async fn typed_raw<R: IncomingRequest>(
    mut call: Call,
    handle: impl AsyncFnOnce(Call, R) -> Result<Reply, Error>,
) -> Result<Reply, Error> {
    let request = extract::request::parse::<R>(&mut call)?;
    handle(call, request).await
}

/// A response of ruma's as a reply.
pub fn reply(response: impl OutgoingResponse) -> Result<Reply, Error> {
    let response = response.try_into_http_response::<Vec<u8>>().map_err(Error::internal)?;
    Ok(response.map(Into::into))
}

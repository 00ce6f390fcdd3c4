//! The one place where actix (http 0.2) and ruma (http 1) meet.

use std::{fmt, io, ops::Deref};

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::SizedStream,
    http::{
        StatusCode as ActixStatus,
        header::{self as actix_header, HeaderName as ActixName, HeaderValue as ActixValue},
    },
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream, stream::LocalBoxStream};

use crate::error::Error;

/// A response. JSON unless its headers say otherwise.
pub type Reply = ::http::Response<Body>;

/// The body of a response.
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// A file, sent as it is read.
    Pieces {
        length: u64,
        pieces: LocalBoxStream<'static, io::Result<Bytes>>,
    },
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(body: T) -> Self {
        Self::Whole(body.into())
    }
}

/// The bytes that are here already: none of a file.
impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Whole(body) => body,
            Self::Pieces { .. } => &[],
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(body) => f.debug_tuple("Whole").field(body).finish(),
            Self::Pieces { length, .. } => f.debug_struct("Pieces").field("length", length).finish_non_exhaustive(),
        }
    }
}

/// A reply of JSON bytes as they are: what a handler gives that has already written them.
pub fn json_reply(body: impl Into<Bytes>) -> Reply {
    let mut reply = Reply::new(Body::Whole(body.into()));
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// The method in ruma's terms. HEAD is GET whose body is not sent.
pub fn method(request: &HttpRequest) -> Result<Method, Error> {
    use actix_web::http::Method as Actix;
    Ok(match *request.method() {
        Actix::GET | Actix::HEAD => Method::GET,
        Actix::POST => Method::POST,
        Actix::PUT => Method::PUT,
        Actix::DELETE => Method::DELETE,
        Actix::OPTIONS => Method::OPTIONS,
        ref other => {
            let invalid = |_| Error::invalid_param("the method is malformed");
            Method::from_bytes(other.as_str().as_bytes()).map_err(invalid)?
        }
    })
}

/// The request target as it came in: path and query, nothing decoded.
pub fn raw_target(request: &HttpRequest) -> &str {
    request.uri().path_and_query().map_or("/", |target| target.as_str())
}

/// Which headers a request keeps on its way to the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headers {
    /// The one that says what the body is. Most endpoints read no others, and copying them costs more than the rest of a small request.
    ContentType,
    /// All.
    All,
}

/// A request in ruma's terms.
pub fn request(request: &HttpRequest, method: Method, body: Bytes, headers: Headers) -> Result<Request<Bytes>, Error> {
    let mut converted = Request::new(body);
    *converted.method_mut() = method;
    let invalid = |_| Error::invalid_param("the request target is no URI");
    *converted.uri_mut() = Uri::try_from(raw_target(request)).map_err(invalid)?;
    match headers {
        Headers::All => *converted.headers_mut() = request_headers(request)?,
        Headers::ContentType => {
            if let Some(content_type) = request.headers().get(actix_header::CONTENT_TYPE) {
                let content_type = header_value(content_type.as_bytes())?;
                converted.headers_mut().insert(header::CONTENT_TYPE, content_type);
            }
        }
    }
    Ok(converted)
}

/// All headers of a request, in hyper's terms.
pub fn request_headers(request: &HttpRequest) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::with_capacity(request.headers().len());
    for (name, value) in request.headers() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        let name = name.map_err(|_| Error::invalid_param("a header is malformed"))?;
        headers.append(name, header_value(value.as_bytes())?);
    }
    Ok(headers)
}

fn header_value(bytes: &[u8]) -> Result<HeaderValue, Error> {
    HeaderValue::from_bytes(bytes).map_err(|_| Error::invalid_param("a header is malformed"))
}

/// The response in actix's terms, with the headers that let browsers read it.
pub fn response(reply: Reply) -> HttpResponse {
    let (parts, body) = reply.into_parts();
    let mut response = builder(parts.status);
    for (name, value) in &parts.headers {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    match body {
        Body::Whole(body) => response.body(body),
        Body::Pieces { length, pieces } => response.body(SizedStream::new(length, pieces)),
    }
}

/// The reply to HEAD: the headers of the one to GET, without reading a file that is not sent.
pub fn without_pieces(reply: Reply) -> Reply {
    reply.map(|body| match body {
        Body::Pieces { length, .. } => Body::Pieces {
            length,
            pieces: stream::empty().boxed_local(),
        },
        whole @ Body::Whole(_) => whole,
    })
}

/// A response begun with `status` and the headers that let browsers read it.
///
/// They are on every response, <https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients>.
pub fn builder(status: StatusCode) -> HttpResponseBuilder {
    let status = ActixStatus::from_u16(status.as_u16()).unwrap_or(ActixStatus::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for (name, value) in CORS {
        response.insert_header((name, ActixValue::from_static(value)));
    }
    response
}

const CORS: [(ActixName, &str); 3] = [
    (actix_header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (
        actix_header::ACCESS_CONTROL_ALLOW_METHODS,
        "GET, POST, PUT, DELETE, OPTIONS",
    ),
    (
        actix_header::ACCESS_CONTROL_ALLOW_HEADERS,
        "X-Requested-With, Content-Type, Authorization",
    ),
];

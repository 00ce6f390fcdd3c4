//! The one place where actix (http 0.2) and ruma (http 1) meet.

use ::http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, http::StatusCode as ActixStatus};
use bytes::Bytes;

use crate::error::Error;

/// A whole response. JSON unless its headers say otherwise.
pub type Reply = ::http::Response<Bytes>;

/// A reply of JSON bytes as they are: what a handler gives that has already written them.
pub fn json_reply(body: impl Into<Bytes>) -> Reply {
    let mut reply = Reply::new(body.into());
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
        ref other => Method::from_bytes(other.as_str().as_bytes()).map_err(|_| Error::unrecognized_method())?,
    })
}

/// The request target as it came in: path and query, nothing decoded.
pub fn raw_target(request: &HttpRequest) -> &str {
    request.uri().path_and_query().map_or("/", |target| target.as_str())
}

/// The request without its body, in ruma's terms.
pub fn request_head(request: &HttpRequest, method: Method) -> Result<Request<()>, Error> {
    let uri = Uri::try_from(raw_target(request)).map_err(|_| Error::invalid_param("the request target is no URI"))?;
    let mut head = Request::new(());
    *head.method_mut() = method;
    *head.uri_mut() = uri;
    head.headers_mut().reserve(request.headers().len());
    for (name, value) in request.headers() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Error::invalid_param("a header is malformed"));
        };
        head.headers_mut().append(name, value);
    }
    Ok(head)
}

/// The response in actix's terms, with the headers that let browsers read it.
pub fn response(reply: Reply) -> HttpResponse {
    let (parts, body) = reply.into_parts();
    let mut response = builder(parts.status);
    for (name, value) in &parts.headers {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    response.body(body)
}

/// A response begun with `status` and the headers that let browsers read it.
pub fn builder(status: StatusCode) -> HttpResponseBuilder {
    let status = ActixStatus::from_u16(status.as_u16()).unwrap_or(ActixStatus::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for (name, value) in CORS {
        response.insert_header((*name, *value));
    }
    response
}

/// What the specification wants on every response, <https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients>.
pub const CORS: &[(&str, &str)] = &[
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "GET, POST, PUT, DELETE, OPTIONS"),
    (
        "access-control-allow-headers",
        "X-Requested-With, Content-Type, Authorization",
    ),
];

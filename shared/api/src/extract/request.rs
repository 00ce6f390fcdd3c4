//! From bytes to ruma's request types, with the specification's errors for what does not fit.

use std::mem;

use ruma::api::{
    IncomingRequest,
    error::{DeserializationError, HeaderDeserializationError},
};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::json::check_depth;
use crate::{call::Call, error::Error};

/// The call as a request of type `R`.
///
/// The headers go with it: whoever needs one takes it out of the typed request.
pub fn parse<R: IncomingRequest>(call: &mut Call) -> Result<R, Error> {
    let headers = mem::take(call.request.headers_mut());
    let body = call.request.body();
    check_depth(body)?;
    let mut request = ::http::Request::new(body.as_ref());
    *request.method_mut() = call.request.method().clone();
    *request.uri_mut() = call.request.uri().clone();
    *request.headers_mut() = headers;
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    R::try_from_http_request_inner(request, &path).map_err(|error| refuse(&error))
}

/// The body of a call as a type of ours, where ruma's is stricter than the specification.
pub fn parse_body<T: DeserializeOwned>(call: &Call) -> Result<T, Error> {
    parse_json(call.request.body())
}

/// JSON from outside as a type of ours. An empty body is an empty object.
pub fn parse_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    check_depth(json)?;
    let json = if json.is_empty() { b"{}" } else { json };
    serde_json::from_slice(json).map_err(|error| refuse_json(&error))
}

/// A variable segment of the path as an id.
pub fn parse_path<'a, T>(call: &'a Call, index: usize, name: &str) -> Result<T, Error>
where
    T: TryFrom<&'a str>,
{
    let segment = call.path.get(index).map(String::as_str).unwrap_or_default();
    T::try_from(segment).map_err(|_| Error::invalid_param(format!("{name} is not valid")))
}

/// The one mapping of parse errors to errcodes.
fn refuse(error: &DeserializationError) -> Error {
    match error {
        DeserializationError::Utf8(_) => Error::not_json("the body is not UTF-8"),
        DeserializationError::Json(error) => refuse_json(error),
        DeserializationError::Query(error) => {
            let error = error.to_string();
            if is_missing(&error) {
                Error::missing_param(error)
            } else {
                Error::invalid_param(error)
            }
        }
        DeserializationError::Header(HeaderDeserializationError::MissingHeader(name)) => {
            Error::missing_param(format!("missing header {name}"))
        }
        other => Error::invalid_param(other.to_string()),
    }
}

fn refuse_json(error: &serde_json::Error) -> Error {
    let text = error.to_string();
    match error.classify() {
        Category::Io | Category::Syntax | Category::Eof => Error::not_json(text),
        Category::Data if is_missing(&text) => Error::missing_param(text),
        Category::Data => Error::bad_json(text),
    }
}

fn is_missing(error: &str) -> bool {
    error.starts_with("missing field")
}

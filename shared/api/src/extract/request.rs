//! From bytes to ruma's request types, with the specification's errors for what does not fit.

use std::mem;

use ruma::api::{
    IncomingRequest,
    error::{DeserializationError, HeaderDeserializationError},
};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::json::{check_depth, check_object};
use crate::{call::Call, error::Error};

/// The call as a request of type `R`.
///
/// The headers go with it: whoever needs one takes it out of the typed request.
pub fn parse<R: IncomingRequest>(call: &mut Call) -> Result<R, Error> {
    let headers = mem::take(call.request.headers_mut());
    let mut request = ::http::Request::new(or_object(call.request.body()));
    *request.method_mut() = call.request.method().clone();
    *request.uri_mut() = call.request.uri().clone();
    *request.headers_mut() = headers;
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    parse_http(request, &path)
}

/// A request in parts as one of type `R`; `path` has the decoded variable segments.
fn parse_http<R: IncomingRequest>(request: ::http::Request<&[u8]>, path: &[&str]) -> Result<R, Error> {
    check_depth(request.body())?;
    check_object(request.body())?;
    R::try_from_http_request_inner(request, path).map_err(|error| refuse(&error))
}

/// The body of a call as a type of ours, where ruma's is stricter than the specification.
pub fn parse_body<T: DeserializeOwned>(call: &Call) -> Result<T, Error> {
    parse_json(call.request.body())
}

/// JSON from outside as a type of ours.
pub fn parse_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    check_depth(json)?;
    check_object(json)?;
    serde_json::from_slice(or_object(json)).map_err(|error| refuse_json(&error))
}

/// A body, or an empty object if there is none: clients leave out a body that has nothing to say.
fn or_object(body: &[u8]) -> &[u8] {
    if body.is_empty() { b"{}" } else { body }
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
        DeserializationError::Ident(_)
        | DeserializationError::Header(_)
        | DeserializationError::MultipartMixed(_)
        | _ => Error::invalid_param(error.to_string()),
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

#[cfg(test)]
mod tests {
    use ruma::api::client::{
        account::register::v3::Request as Register,
        membership::{get_member_events::v3::Request as Members, kick_user::v3::Request as Kick},
    };
    use serde_json::Value;

    use super::*;
    use crate::extract::json::DEPTH_MAX;

    fn refused<R: IncomingRequest>(uri: &str, body: &[u8], path: &[&str]) -> (u16, String) {
        let request = ::http::Request::builder().uri(uri).body(body).expect("valid");
        let reply = parse_http::<R>(request, path).err().expect("refused").into_reply();
        let error: Value = serde_json::from_slice(reply.body()).expect("JSON");
        (
            reply.status().as_u16(),
            error["errcode"].as_str().expect("a text").to_owned(),
        )
    }

    #[test]
    fn every_broken_body_has_its_errcode() {
        let deep = format!(r#"{{"user_id": {}1{}}}"#, "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        let bodies: [(&[u8], &str); 10] = [
            (b"{", "M_NOT_JSON"),
            (b"not json", "M_NOT_JSON"),
            (b"{\"user_id\": \"\xff\"}", "M_NOT_JSON"),
            (b"{\"user_id\": \"@a:b\"} trailing", "M_NOT_JSON"),
            (b"{}", "M_MISSING_PARAM"),
            (b"", "M_MISSING_PARAM"),
            (b"{\"user_id\": 1}", "M_BAD_JSON"),
            (b"[1, 2]", "M_BAD_JSON"),
            (b"[\"@a:b\", \"the fields of a struct in order\"]", "M_BAD_JSON"),
            (deep.as_bytes(), "M_BAD_JSON"),
        ];
        for (body, errcode) in bodies {
            let answer = refused::<Kick>("/", body, &["!room:here"]);
            assert_eq!(answer, (400, errcode.to_owned()), "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(refused::<Register>("/", b"{\"username\": {}}", &[]).1, "M_BAD_JSON");
    }

    #[test]
    fn broken_paths_and_queries_are_invalid_parameters() {
        let good = b"{\"user_id\": \"@a:b\"}";
        assert_eq!(
            refused::<Kick>("/", good, &["room"]),
            (400, "M_INVALID_PARAM".to_owned())
        );
        let long = format!("!{}:here", "x".repeat(300));
        assert_eq!(refused::<Kick>("/", good, &[&long]).1, "M_INVALID_PARAM");
        let request = ::http::Request::builder()
            .uri("/?at=1&unknown=2")
            .body(&b""[..])
            .expect("valid");
        assert!(parse_http::<Members>(request, &["!room:here"]).is_ok());
    }

    #[test]
    fn our_own_types_have_the_same_errcodes() {
        #[derive(Debug, serde::Deserialize)]
        struct Body {
            #[expect(dead_code, reason = "only parsed")]
            typing: bool,
        }
        for (body, errcode) in [
            ("", "M_MISSING_PARAM"),
            ("{\"typing\": 1}", "M_BAD_JSON"),
            ("}", "M_NOT_JSON"),
        ] {
            let error = parse_json::<Body>(body.as_bytes()).expect_err("refused").into_reply();
            let error: Value = serde_json::from_slice(error.body()).expect("JSON");
            assert_eq!(error["errcode"], errcode, "{body}");
        }
    }
}

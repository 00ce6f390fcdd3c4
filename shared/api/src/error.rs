//! Every error a client can get: one constructor for each errcode, and the catalogue that `plexus errors` prints.

use std::{borrow::Cow, error::Error as StdError, fmt};

use ::http::{HeaderValue, Method, StatusCode, header};
use plexus_service::{ServiceError, error::Refusal};
use serde_json::{Value, json};

use crate::http::Reply;

/// An errcode: its usual status, and when a client gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    pub errcode: &'static str,
    pub status: u16,
    pub when: &'static str,
}

/// Every errcode of this server.
pub static CATALOGUE: &[Code] = &[
    ALIAS_EXISTS,
    BAD_ALIAS,
    BAD_JSON,
    CANNOT_OVERWRITE_MEDIA,
    DUPLICATE_ANNOTATION,
    FORBIDDEN,
    GUEST_ACCESS_FORBIDDEN,
    INCOMPATIBLE_ROOM_VERSION,
    INVALID_PARAM,
    INVALID_ROOM_STATE,
    INVALID_SIGNATURE,
    INVALID_USERNAME,
    KEY_TOO_LARGE,
    LIMIT_EXCEEDED,
    MISSING_PARAM,
    MISSING_TOKEN,
    NOT_FOUND,
    NOT_JSON,
    NOT_YET_UPLOADED,
    PROFILE_TOO_LARGE,
    ROOM_IN_USE,
    SERVER_CONTROLLED,
    THREEPID_DENIED,
    TOO_LARGE,
    TOO_SLOW,
    UNAVAILABLE,
    UNKNOWN,
    UNKNOWN_LOGIN_TYPE,
    UNKNOWN_TOKEN,
    UNRECOGNIZED_METHOD,
    UNRECOGNIZED_PATH,
    UNSUPPORTED_ROOM_VERSION,
    USER_DEACTIVATED,
    USER_IN_USE,
    USER_LOCKED,
    USER_SUSPENDED,
    WRONG_ROOM_KEYS_VERSION,
];

const ALIAS_EXISTS: Code = code("M_UNKNOWN", 409, "the room alias leads to a room already");
const BAD_ALIAS: Code = code(
    "M_BAD_ALIAS",
    400,
    "an alias does not point to the room, or is no alias",
);
const BAD_JSON: Code = code(
    "M_BAD_JSON",
    400,
    "the body is JSON of the wrong shape, or nested too deeply",
);
const CANNOT_OVERWRITE_MEDIA: Code = code("M_CANNOT_OVERWRITE_MEDIA", 409, "the media id has a file already");
const DUPLICATE_ANNOTATION: Code = code(
    "M_DUPLICATE_ANNOTATION",
    400,
    "the user has annotated the event in the same way before",
);
const FORBIDDEN: Code = code(
    "M_FORBIDDEN",
    403,
    "the request is not allowed, or its subject not visible",
);
const GUEST_ACCESS_FORBIDDEN: Code = code("M_GUEST_ACCESS_FORBIDDEN", 403, "guests are not served");
const INCOMPATIBLE_ROOM_VERSION: Code = code(
    "M_INCOMPATIBLE_ROOM_VERSION",
    400,
    "the room has a version that one side does not support",
);
const INVALID_PARAM: Code = code(
    "M_INVALID_PARAM",
    400,
    "a path, query or body parameter has a value it cannot have",
);
const INVALID_ROOM_STATE: Code = code(
    "M_INVALID_ROOM_STATE",
    400,
    "the events asked for do not make a valid room",
);
const INVALID_SIGNATURE: Code = code(
    "M_INVALID_SIGNATURE",
    400,
    "a signature of a key is wrong, or by the wrong key",
);
const INVALID_USERNAME: Code = code(
    "M_INVALID_USERNAME",
    400,
    "the user name has characters that are not allowed",
);
const KEY_TOO_LARGE: Code = code(
    "M_KEY_TOO_LARGE",
    400,
    "the name of a profile's field has more than 255 bytes",
);
const LIMIT_EXCEEDED: Code = code(
    "M_LIMIT_EXCEEDED",
    429,
    "too many requests; retry_after_ms says when to try again",
);
const MISSING_PARAM: Code = code("M_MISSING_PARAM", 400, "a parameter that is required is absent");
const MISSING_TOKEN: Code = code("M_MISSING_TOKEN", 401, "the endpoint needs an access token");
const NOT_FOUND: Code = code("M_NOT_FOUND", 404, "what the request names does not exist");
const NOT_JSON: Code = code("M_NOT_JSON", 400, "the body is not JSON");
const NOT_YET_UPLOADED: Code = code(
    "M_NOT_YET_UPLOADED",
    504,
    "the media id was given out, and its file is still to come",
);
const PROFILE_TOO_LARGE: Code = code("M_PROFILE_TOO_LARGE", 400, "the profile would have more than 64 KiB");
const ROOM_IN_USE: Code = code("M_ROOM_IN_USE", 400, "the id or the alias for the room is taken");
const SERVER_CONTROLLED: Code = code(
    "M_BAD_JSON",
    405,
    "account data of this type is the server's; clients change it by other endpoints",
);
const THREEPID_DENIED: Code = code(
    "M_THREEPID_DENIED",
    403,
    "e-mail addresses and phone numbers are not served",
);
const TOO_LARGE: Code = code("M_TOO_LARGE", 413, "the body, or the event made of it, is too large");
const TOO_SLOW: Code = code("M_UNKNOWN", 408, "the body arrives too slowly");
const UNAVAILABLE: Code = code(
    "M_UNKNOWN",
    503,
    "something the request needs is away; try the same request again",
);
const UNKNOWN: Code = code(
    "M_UNKNOWN",
    500,
    "a fault of the server; its log has the cause under the request's id",
);
const UNKNOWN_LOGIN_TYPE: Code = code(
    "M_UNKNOWN",
    400,
    "the login type is none of those that GET /login lists, or the file is nothing that thumbnails are made of",
);
const UNKNOWN_TOKEN: Code = code("M_UNKNOWN_TOKEN", 401, "the access token is of no session");
const UNRECOGNIZED_METHOD: Code = code("M_UNRECOGNIZED", 405, "the path exists, with other methods");
const UNRECOGNIZED_PATH: Code = code("M_UNRECOGNIZED", 404, "the server does not know the path");
const UNSUPPORTED_ROOM_VERSION: Code = code(
    "M_UNSUPPORTED_ROOM_VERSION",
    400,
    "the room version asked for is not supported",
);
const USER_DEACTIVATED: Code = code("M_USER_DEACTIVATED", 403, "the account has been deactivated");
const USER_IN_USE: Code = code("M_USER_IN_USE", 400, "the user name is taken");
const USER_LOCKED: Code = code("M_USER_LOCKED", 401, "an administrator has locked the account");
const USER_SUSPENDED: Code = code(
    "M_USER_SUSPENDED",
    403,
    "an administrator has suspended the account: it reads, and hardly more",
);
const WRONG_ROOM_KEYS_VERSION: Code = code(
    "M_WRONG_ROOM_KEYS_VERSION",
    403,
    "the keys are for an old version of the backup; current_version says which is current",
);

const fn code(errcode: &'static str, status: u16, when: &'static str) -> Code {
    Code { errcode, status, when }
}

/// How long a client that came too soon waits.
const RETRY_AFTER_MS: u64 = 2000;

/// What a client gets instead of a response.
#[derive(Debug)]
pub struct Error {
    status: StatusCode,
    body: Body,
    /// The methods the path takes, for the `Allow` header of a 405.
    allow: Option<HeaderValue>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug)]
enum Body {
    Standard {
        errcode: Cow<'static, str>,
        error: Cow<'static, str>,
    },
    Json(Value),
}

impl Error {
    pub fn bad_alias(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(BAD_ALIAS, error)
    }

    pub fn bad_json(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(BAD_JSON, error)
    }

    pub fn cannot_overwrite_media(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(CANNOT_OVERWRITE_MEDIA, error)
    }

    pub fn forbidden(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(FORBIDDEN, error)
    }

    pub fn guest_access_forbidden(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(GUEST_ACCESS_FORBIDDEN, error)
    }

    pub fn invalid_param(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(INVALID_PARAM, error)
    }

    pub fn invalid_signature(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(INVALID_SIGNATURE, error)
    }

    pub fn invalid_username(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(INVALID_USERNAME, error)
    }

    pub fn key_too_large(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(KEY_TOO_LARGE, error)
    }

    pub fn limit_exceeded(error: impl Into<Cow<'static, str>>) -> Self {
        let error: Cow<'static, str> = error.into();
        let errcode = LIMIT_EXCEEDED.errcode;
        Self::json(
            LIMIT_EXCEEDED.status,
            json!({"errcode": errcode, "error": error, "retry_after_ms": RETRY_AFTER_MS}),
        )
    }

    pub fn missing_param(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(MISSING_PARAM, error)
    }

    pub fn missing_token() -> Self {
        Self::of(MISSING_TOKEN, "the request has no access token")
    }

    pub fn not_found(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(NOT_FOUND, error)
    }

    pub fn not_json(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(NOT_JSON, error)
    }

    pub fn not_yet_uploaded(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(NOT_YET_UPLOADED, error)
    }

    pub fn profile_too_large(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(PROFILE_TOO_LARGE, error)
    }

    pub fn server_controlled(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(SERVER_CONTROLLED, error)
    }

    pub fn threepid_denied(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(THREEPID_DENIED, error)
    }

    pub fn too_large(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(TOO_LARGE, error)
    }

    pub fn too_slow() -> Self {
        Self::of(TOO_SLOW, "the body arrives too slowly")
    }

    pub fn unavailable(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(UNAVAILABLE, error)
    }

    /// A fault of ours: the client learns no more than that; the cause goes to the log.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::of(UNKNOWN, "internal error")
        }
    }

    pub fn unknown_login_type() -> Self {
        Self::of(UNKNOWN_LOGIN_TYPE, "the login type is not supported")
    }

    /// No thumbnail can be made of a file; the errcode is the specification's.
    pub fn no_picture(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(UNKNOWN_LOGIN_TYPE, error)
    }

    /// `soft_logout`: the session is still there, and a new token goes on with it.
    pub fn unknown_token(soft_logout: bool) -> Self {
        let errcode = UNKNOWN_TOKEN.errcode;
        let body = json!({"errcode": errcode, "error": "the token is not known", "soft_logout": soft_logout});
        Self::json(UNKNOWN_TOKEN.status, body)
    }

    pub fn user_locked() -> Self {
        let errcode = USER_LOCKED.errcode;
        let body = json!({"errcode": errcode, "error": "the account has been locked", "soft_logout": true});
        Self::json(USER_LOCKED.status, body)
    }

    pub fn user_suspended(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(USER_SUSPENDED, error)
    }

    /// The path takes other methods: they are in `Allow`, as RFC 9110 (section 15.5.6) has it.
    pub fn unrecognized_method(allowed: &[Method]) -> Self {
        let mut allowed: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        allowed.sort_unstable();
        Self {
            // Methods are tokens, which a header can always carry.
            allow: HeaderValue::try_from(allowed.join(", ")).ok(),
            ..Self::of(UNRECOGNIZED_METHOD, "the path does not take this method")
        }
    }

    pub fn unrecognized_path() -> Self {
        Self::of(UNRECOGNIZED_PATH, "unknown path")
    }

    pub fn unsupported_room_version() -> Self {
        Self::of(UNSUPPORTED_ROOM_VERSION, "the room version is not supported")
    }

    pub fn user_deactivated(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(USER_DEACTIVATED, error)
    }

    pub fn user_in_use(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(USER_IN_USE, error)
    }

    pub fn wrong_room_keys_version(current: &str) -> Self {
        let errcode = WRONG_ROOM_KEYS_VERSION.errcode;
        let body =
            json!({"errcode": errcode, "error": "the backup has another version now", "current_version": current});
        Self::json(WRONG_ROOM_KEYS_VERSION.status, body)
    }

    /// User-interactive authentication goes on: 401, with the flows to choose from.
    pub fn interactive_auth(body: Value) -> Self {
        Self::json(401, body)
    }

    /// The status the client gets.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Writes what only we may know of this error to the log. Called once, where it is answered.
    pub fn log(&self) {
        if let Some(cause) = &self.cause {
            tracing::error!(error = %Chain(cause.as_ref()), "request failed");
        }
    }

    /// The error as a response.
    pub fn into_reply(self) -> Reply {
        let body = match self.body {
            Body::Standard { errcode, error } => json!({"errcode": errcode, "error": error}),
            Body::Json(body) => body,
        };
        let mut reply = Reply::new(body.to_string().into());
        *reply.status_mut() = self.status;
        reply
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(allow) = self.allow {
            reply.headers_mut().insert(header::ALLOW, allow);
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            reply
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_MS.div_ceil(1000)));
        }
        reply
    }

    fn of(code: Code, error: impl Into<Cow<'static, str>>) -> Self {
        let body = Body::Standard {
            errcode: code.errcode.into(),
            error: error.into(),
        };
        Self {
            status: status(code.status),
            body,
            allow: None,
            cause: None,
        }
    }

    fn json(status_code: u16, body: Value) -> Self {
        Self {
            status: status(status_code),
            body: Body::Json(body),
            allow: None,
            cause: None,
        }
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl From<ServiceError> for Error {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Refused { kind, message } => refusal(kind, message),
            ServiceError::Matrix {
                status: code,
                errcode,
                error,
            } => Self {
                status: status(code),
                body: Body::Standard {
                    errcode: errcode.into(),
                    error: error.into(),
                },
                allow: None,
                cause: None,
            },
            ServiceError::NoSession { soft_logout } => Self::unknown_token(soft_logout),
            ServiceError::Locked => Self::user_locked(),
            ServiceError::Uia(challenge) => Self::interactive_auth(challenge.into_json()),
            ServiceError::WrongBackupVersion { current } => Self::wrong_room_keys_version(&current),
            ServiceError::UnsupportedRoomVersion => Self::unsupported_room_version(),
            ServiceError::Unavailable(message) => Self::unavailable(message),
            ServiceError::Internal(cause) => Self::internal(cause),
        }
    }
}

fn refusal(kind: Refusal, message: String) -> Error {
    match kind {
        Refusal::Forbidden => Error::forbidden(message),
        Refusal::NotFound => Error::not_found(message),
        Refusal::BadJson => Error::bad_json(message),
        Refusal::InvalidParam => Error::invalid_param(message),
        Refusal::MissingParam => Error::missing_param(message),
        Refusal::UserInUse => Error::user_in_use(message),
        Refusal::InvalidUsername => Error::invalid_username(message),
        Refusal::UserDeactivated => Error::user_deactivated(message),
        Refusal::GuestsForbidden => Error::guest_access_forbidden(message),
        Refusal::MissingToken => Error::missing_token(),
        Refusal::KeyTooLarge => Error::key_too_large(message),
        Refusal::UserSuspended => Error::user_suspended(message),
        Refusal::ProfileTooLarge => Error::profile_too_large(message),
        Refusal::ThreepidDenied => Error::threepid_denied(message),
        Refusal::LimitExceeded => Error::limit_exceeded(message),
        Refusal::ServerControlled => Error::server_controlled(message),
        Refusal::BadAlias => Error::bad_alias(message),
        Refusal::TooLarge => Error::too_large(message),
        Refusal::NotYetUploaded => Error::not_yet_uploaded(message),
        Refusal::CannotOverwriteMedia => Error::cannot_overwrite_media(message),
        Refusal::NoPicture => Error::no_picture(message),
        Refusal::InvalidSignature => Error::invalid_signature(message),
        Refusal::Unrecognized => Error::unrecognized_path(),
    }
}

/// An error with everything that caused it, in one line.
struct Chain<'a>(&'a (dyn StdError + Send + Sync));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(next) = cause {
            write!(f, ": {next}")?;
            cause = next.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_has_every_code_and_no_two_alike() {
        let source = include_str!("error.rs");
        let defined = source
            .lines()
            .filter(|line| line.starts_with("const ") && line.contains(": Code ="))
            .count();
        assert_eq!(CATALOGUE.len(), defined);
        for (i, left) in CATALOGUE.iter().enumerate() {
            assert!(
                StatusCode::from_u16(left.status).is_ok_and(|status| status.as_u16() >= 400),
                "{left:?}"
            );
            assert!(left.errcode.starts_with("M_") && !left.when.is_empty(), "{left:?}");
            assert!(
                CATALOGUE[i + 1..]
                    .iter()
                    .all(|right| (right.errcode, right.status) != (left.errcode, left.status))
            );
        }
    }

    #[test]
    fn a_decision_of_the_master_passes_unchanged() {
        let (errcode, error) = ("M_FORBIDDEN".to_owned(), "not \"in\" the room".to_owned());
        let reply = Error::from(ServiceError::Matrix {
            status: 403,
            errcode,
            error,
        })
        .into_reply();
        assert_eq!(reply.status(), 403);
        let body: Value = serde_json::from_slice(reply.body()).expect("JSON");
        assert_eq!(body, json!({"errcode": "M_FORBIDDEN", "error": "not \"in\" the room"}));
    }

    #[test]
    fn an_internal_error_tells_nothing() {
        let reply = Error::internal("the password is hunter2").into_reply();
        assert_eq!(reply.status(), 500);
        assert!(!String::from_utf8_lossy(reply.body()).contains("hunter2"));
    }
}

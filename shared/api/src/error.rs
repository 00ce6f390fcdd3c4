//! Every error a client can get: one constructor for each errcode of the [`catalogue`].

mod catalogue;

use std::{borrow::Cow, error::Error as StdError, fmt};

use ::http::{HeaderValue, Method, StatusCode, header};
use plexus_service::{ServiceError, error::Refusal};
use serde_json::{Value, json};

pub use self::catalogue::{CATALOGUE, Code};
use crate::http::Reply;

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
        Self::of(catalogue::BAD_ALIAS, error)
    }

    pub fn bad_json(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::BAD_JSON, error)
    }

    pub fn cannot_overwrite_media(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::CANNOT_OVERWRITE_MEDIA, error)
    }

    pub fn forbidden(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::FORBIDDEN, error)
    }

    pub fn guest_access_forbidden(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::GUEST_ACCESS_FORBIDDEN, error)
    }

    /// The version is told to another server that does not know it.
    pub fn incompatible_room_version(version: Option<String>) -> Self {
        let code = catalogue::INCOMPATIBLE_ROOM_VERSION;
        let mut body =
            json!({"errcode": code.errcode, "error": "the room has a version that one of the servers does not know"});
        if let Some(version) = version {
            body["room_version"] = version.into();
        }
        Self::json(code.status, body)
    }

    pub fn invalid_param(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::INVALID_PARAM, error)
    }

    pub fn invalid_signature(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::INVALID_SIGNATURE, error)
    }

    pub fn invalid_username(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::INVALID_USERNAME, error)
    }

    pub fn key_too_large(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::KEY_TOO_LARGE, error)
    }

    pub fn limit_exceeded(error: impl Into<Cow<'static, str>>) -> Self {
        let error: Cow<'static, str> = error.into();
        let errcode = catalogue::LIMIT_EXCEEDED.errcode;
        Self::json(
            catalogue::LIMIT_EXCEEDED.status,
            json!({"errcode": errcode, "error": error, "retry_after_ms": RETRY_AFTER_MS}),
        )
    }

    pub fn missing_param(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::MISSING_PARAM, error)
    }

    pub fn missing_token() -> Self {
        Self::of(catalogue::MISSING_TOKEN, "the request has no access token")
    }

    pub fn not_found(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::NOT_FOUND, error)
    }

    pub fn not_json(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::NOT_JSON, error)
    }

    pub fn not_yet_uploaded(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::NOT_YET_UPLOADED, error)
    }

    pub fn profile_too_large(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::PROFILE_TOO_LARGE, error)
    }

    pub fn server_controlled(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::SERVER_CONTROLLED, error)
    }

    pub fn server_not_trusted(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::SERVER_NOT_TRUSTED, error)
    }

    pub fn too_large(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::TOO_LARGE, error)
    }

    pub fn too_slow() -> Self {
        Self::of(catalogue::TOO_SLOW, "the body arrives too slowly")
    }

    pub fn unauthorized(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::UNAUTHORIZED, error)
    }

    pub fn unavailable(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::UNAVAILABLE, error)
    }

    /// A fault of ours: the client learns no more than that; the cause goes to the log.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::of(catalogue::UNKNOWN, "internal error")
        }
    }

    pub fn unknown_login_type() -> Self {
        Self::of(catalogue::UNKNOWN_LOGIN_TYPE, "the login type is not supported")
    }

    /// No thumbnail can be made of a file; the errcode is the specification's.
    pub fn no_picture(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::UNKNOWN_LOGIN_TYPE, error)
    }

    /// `soft_logout`: the session is still there, and a new token goes on with it.
    pub fn unknown_token(soft_logout: bool) -> Self {
        let errcode = catalogue::UNKNOWN_TOKEN.errcode;
        let body = json!({"errcode": errcode, "error": "the token is not known", "soft_logout": soft_logout});
        Self::json(catalogue::UNKNOWN_TOKEN.status, body)
    }

    pub fn user_locked() -> Self {
        let errcode = catalogue::USER_LOCKED.errcode;
        let body = json!({"errcode": errcode, "error": "the account has been locked", "soft_logout": true});
        Self::json(catalogue::USER_LOCKED.status, body)
    }

    pub fn user_suspended(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::USER_SUSPENDED, error)
    }

    /// The path takes other methods: they are in `Allow`, as RFC 9110 (section 15.5.6) has it.
    pub fn unrecognized_method(allowed: &[Method]) -> Self {
        let mut allowed: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        allowed.sort_unstable();
        Self {
            // Methods are tokens, which a header can always carry.
            allow: HeaderValue::try_from(allowed.join(", ")).ok(),
            ..Self::of(catalogue::UNRECOGNIZED_METHOD, "the path does not take this method")
        }
    }

    pub fn unrecognized_path() -> Self {
        Self::of(catalogue::UNRECOGNIZED_PATH, "unknown path")
    }

    pub fn unsupported_room_version() -> Self {
        Self::of(catalogue::UNSUPPORTED_ROOM_VERSION, "the room version is not supported")
    }

    pub fn user_deactivated(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::USER_DEACTIVATED, error)
    }

    pub fn user_in_use(error: impl Into<Cow<'static, str>>) -> Self {
        Self::of(catalogue::USER_IN_USE, error)
    }

    pub fn wrong_room_keys_version(current: &str) -> Self {
        let errcode = catalogue::WRONG_ROOM_KEYS_VERSION.errcode;
        let body =
            json!({"errcode": errcode, "error": "the backup has another version now", "current_version": current});
        Self::json(catalogue::WRONG_ROOM_KEYS_VERSION.status, body)
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
            ServiceError::IncompatibleRoomVersion { version } => Self::incompatible_room_version(version),
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
        Refusal::ServerNotTrusted => Error::server_not_trusted(message),
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

//! Why a service function did not do what it was asked.
//!
//! The variants are reasons, not HTTP: `plexus-api` has the one place that gives each its status and errcode. A decision of the master arrives as
//! [`ServiceError::Matrix`] and passes unchanged.

use std::{error::Error, fmt};

use plexus_federation::{events::VerifyError, request::RequestError, rooms::FetchError};
use plexus_media::MediaError;
use plexus_replication::MasterError;
use plexus_storage::StoreError;

use crate::users::uia::Challenge;

/// Why a request was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The request was understood and refused.
    #[error("{kind:?}: {message}")]
    Refused { kind: Refusal, message: String },
    /// The master refused the Command; the client gets exactly this.
    #[error("{errcode}: {error}")]
    Matrix {
        status: u16,
        errcode: String,
        error: String,
    },
    /// The room version asked for, or that of the room, is not known here.
    #[error("the room version is not supported")]
    UnsupportedRoomVersion,
    /// Whoever asks, or this server, does not know the version of the room; it is named if this server knows it.
    #[error("the version of the room is not known to both servers")]
    IncompatibleRoomVersion { version: Option<String> },
    /// The token is of no session, or of one that goes on once the client has a new token (`soft_logout`).
    #[error("the token is not known")]
    NoSession { soft_logout: bool },
    /// An administrator has locked the account.
    #[error("the account is locked")]
    Locked,
    /// The user has to prove who he is, or go on with that.
    #[error("interactive authentication is needed")]
    Uia(Box<Challenge>),
    /// The keys are for another version of the backup than the current one.
    #[error("the current version of the backup is {current}")]
    WrongBackupVersion { current: String },
    /// Something this request needs is away for now; the same request may succeed later.
    #[error("try again: {0}")]
    Unavailable(String),
    /// Nothing the client could have done differently.
    #[error("internal error: {0}")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

/// The kinds of refusal that the service itself decides. Each is one errcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not allowed, or not shown whether it exists.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The JSON is fine, its meaning is not.
    BadJson,
    /// A parameter has a value it cannot have.
    InvalidParam,
    /// A parameter is missing.
    MissingParam,
    /// The user id is taken.
    UserInUse,
    /// The user id is not one this server can give.
    InvalidUsername,
    /// The account exists and may not be used any more.
    UserDeactivated,
    /// There are no guests here.
    GuestsForbidden,
    /// The identity server is none that this server asks.
    ServerNotTrusted,
    /// Account data of a type that clients do not set themselves.
    ServerControlled,
    /// Only users are served.
    MissingToken,
    /// The name of a profile's field is too long.
    KeyTooLarge,
    /// The account may be used to read only.
    UserSuspended,
    /// The profile would become larger than the specification allows.
    ProfileTooLarge,
    /// Too much at once; try again later.
    LimitExceeded,
    /// The alias belongs to another room, or is not a valid one for it.
    BadAlias,
    /// What was given is larger than what is taken.
    TooLarge,
    /// The file is still to come.
    NotYetUploaded,
    /// The id has a file already.
    CannotOverwriteMedia,
    /// No thumbnail can be made of the file.
    NoPicture,
    /// A signature is not one of what it should be, or not by whom it should be.
    InvalidSignature,
    /// The feature does not exist here.
    Unrecognized,
}

impl From<RequestError> for ServiceError {
    /// What another server refused is refused here with its own errcode; everything else may be different later.
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused {
                errcode, room_version, ..
            } if errcode == "M_INCOMPATIBLE_ROOM_VERSION" => Self::IncompatibleRoomVersion { version: room_version },
            RequestError::Refused {
                server,
                status,
                errcode,
                mut error,
                ..
            } if matches!(status.as_u16(), 400 | 403 | 404) && errcode.starts_with("M_") => {
                if error.is_empty() {
                    error = format!("{server} does not say why");
                }
                Self::Matrix {
                    status: status.as_u16(),
                    errcode,
                    error,
                }
            }
            RequestError::Json(error) => Self::Internal(error.into()),
            RequestError::Store(error) => error.into(),
            RequestError::Ourselves
            | RequestError::NotNow { .. }
            | RequestError::Transport { .. }
            | RequestError::Refused { .. }
            | RequestError::Stopping => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<VerifyError> for ServiceError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Store(error) => error.into(),
            VerifyError::Stopping => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<FetchError> for ServiceError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Request(error) => error.into(),
            FetchError::Verify(error) => error.into(),
            FetchError::Malformed { .. } => Self::Unavailable(error.to_string()),
        }
    }
}

impl ServiceError {
    /// A refusal with its reason, in words for the user.
    pub fn refused(kind: Refusal, message: impl fmt::Display) -> Self {
        Self::Refused {
            kind,
            message: message.to_string(),
        }
    }

    /// Not allowed.
    pub fn forbidden(message: impl fmt::Display) -> Self {
        Self::refused(Refusal::Forbidden, message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl fmt::Display) -> Self {
        Self::refused(Refusal::NotFound, message)
    }

    /// A parameter has a value it cannot have.
    pub fn invalid_param(message: impl fmt::Display) -> Self {
        Self::refused(Refusal::InvalidParam, message)
    }

    /// The JSON says something it cannot mean.
    pub fn bad_json(message: impl fmt::Display) -> Self {
        Self::refused(Refusal::BadJson, message)
    }

    /// A failure inside; logged where it is answered.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }
}

impl From<MediaError> for ServiceError {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::Io(_) | MediaError::Unfinished(_) => Self::internal(error),
            MediaError::TooLarge => Self::refused(Refusal::TooLarge, error),
            MediaError::NoPicture(_) => Self::refused(Refusal::NoPicture, error),
            MediaError::Busy => Self::refused(Refusal::LimitExceeded, error),
        }
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

impl From<MasterError> for ServiceError {
    fn from(error: MasterError) -> Self {
        match error {
            MasterError::Matrix { status, errcode, error } => Self::Matrix { status, errcode, error },
            MasterError::Unavailable => Self::Unavailable("the master is away".to_owned()),
            MasterError::Deadline => Self::Unavailable("the master did not answer in time".to_owned()),
        }
    }
}

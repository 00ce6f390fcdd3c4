//! Why a Command was not carried out.

use plexus_core::auth::AuthError;
use plexus_proto::MatrixError;
use plexus_storage::{StoreError, db::DbError};

/// The master's error. What a client is told travels as a [`MatrixError`], unchanged to the last byte.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The Command is refused, with the answer for the client.
    #[error("{}: {}", .0.errcode, .0.error)]
    Refused(MatrixError),
    /// This process does not lead, or no longer; another may.
    #[error("this process does not lead")]
    NotLeader,
    /// The lane's queue is full.
    #[error("too many commands are waiting")]
    Busy,
    /// The Command itself makes no sense: its sender has a bug.
    #[error("malformed command: {0}")]
    Malformed(&'static str),
    /// The database holds something that cannot be.
    #[error("damaged data: {0}")]
    Damaged(&'static str),
    /// The database refused the change.
    #[error("the change was refused by the database")]
    Poison,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event we made cannot be sealed for a reason that is not the client's.
    #[error("event: {0}")]
    Event(String),
}

impl CommandError {
    /// A word for metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::NotLeader => "not_leader",
            Self::Busy => "busy",
            Self::Malformed(_) => "malformed",
            Self::Damaged(_) | Self::Poison | Self::Store(_) | Self::Event(_) => "failed",
        }
    }
}

impl CommandError {
    /// Whether the same Command may succeed later, without anybody having done anything.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::NotLeader | Self::Busy | Self::Store(StoreError::Database(_)) => true,
            Self::Refused(_)
            | Self::Malformed(_)
            | Self::Damaged(_)
            | Self::Poison
            | Self::Store(
                StoreError::Corrupt { .. }
                | StoreError::Event { .. }
                | StoreError::MissingEvent(_)
                | StoreError::Node { .. },
            )
            | Self::Event(_) => false,
        }
    }

    /// What the rules forbid in a room that is being made is a fault of the request for it: `M_INVALID_ROOM_STATE`.
    pub(crate) fn or_invalid_room_state(self) -> Self {
        match self {
            Self::Refused(refusal) if refusal.errcode == FORBIDDEN => invalid_room_state(refusal.error),
            other @ (Self::Refused(_)
            | Self::NotLeader
            | Self::Busy
            | Self::Malformed(_)
            | Self::Damaged(_)
            | Self::Poison
            | Self::Store(_)
            | Self::Event(_)) => other,
        }
    }
}

const FORBIDDEN: &str = "M_FORBIDDEN";

fn refused(status: u32, errcode: &str, error: impl Into<String>) -> CommandError {
    CommandError::Refused(MatrixError {
        status,
        errcode: errcode.to_owned(),
        error: error.into(),
    })
}

/// `M_FORBIDDEN`: the rules do not allow it.
pub(crate) fn forbidden(error: impl Into<String>) -> CommandError {
    refused(403, "M_FORBIDDEN", error)
}

/// `M_FORBIDDEN`: an administrator lets nobody into the room.
pub(crate) fn blocked() -> CommandError {
    forbidden("This room has been blocked on this server")
}

/// The one answer for whoever has nothing to do with a room, whether it is there or not: nobody learns from it which rooms exist.
pub(crate) fn outsider() -> CommandError {
    forbidden("There is no such room on this server, or you are not in it")
}

/// `M_NOT_FOUND`: there is no such thing.
pub(crate) fn not_found(error: impl Into<String>) -> CommandError {
    refused(404, "M_NOT_FOUND", error)
}

/// `M_UNKNOWN`: the specification says that it is refused, and has no code for it.
pub(crate) fn unknown(error: impl Into<String>) -> CommandError {
    refused(400, "M_UNKNOWN", error)
}

/// `M_DUPLICATE_ANNOTATION`: the same user has annotated the event in the same way.
pub(crate) fn duplicate_annotation() -> CommandError {
    let error = "You have annotated this event in the same way before";
    refused(400, "M_DUPLICATE_ANNOTATION", error)
}

/// `M_INVALID_PARAM`: what a parameter names cannot be used so.
pub(crate) fn invalid_param(error: impl Into<String>) -> CommandError {
    refused(400, "M_INVALID_PARAM", error)
}

/// `M_BAD_JSON`: the content cannot be part of an event.
pub(crate) fn bad_json(error: impl Into<String>) -> CommandError {
    refused(400, "M_BAD_JSON", error)
}

/// `M_TOO_LARGE`: the event is larger than the specification allows.
pub(crate) fn too_large(error: impl Into<String>) -> CommandError {
    refused(413, "M_TOO_LARGE", error)
}

/// `M_USER_IN_USE`: the user id is taken.
pub(crate) fn user_in_use() -> CommandError {
    refused(400, "M_USER_IN_USE", "This user id is taken")
}

/// `M_ROOM_IN_USE`: the room id is taken.
pub(crate) fn room_in_use() -> CommandError {
    refused(400, "M_ROOM_IN_USE", "This room id is taken")
}

/// `M_ROOM_IN_USE`: the alias for the room is taken.
pub(crate) fn alias_in_use() -> CommandError {
    refused(400, "M_ROOM_IN_USE", "This room alias is taken")
}

/// `M_UNKNOWN` with 409: the alias leads to a room already.
pub(crate) fn alias_exists() -> CommandError {
    refused(409, "M_UNKNOWN", "This room alias exists already")
}

/// `M_UNABLE_TO_AUTHORISE_JOIN`: this server is in none of the rooms whose members are let in.
pub(crate) fn unable_to_authorise_join() -> CommandError {
    let error = "This server is in none of the rooms whose members may join";
    refused(400, "M_UNABLE_TO_AUTHORISE_JOIN", error)
}

/// `M_UNABLE_TO_GRANT_JOIN`: the user may join, and another server has to say so.
pub(crate) fn unable_to_grant_join() -> CommandError {
    let error = "No user of this server may let others into the room";
    refused(400, "M_UNABLE_TO_GRANT_JOIN", error)
}

/// `M_INVALID_ROOM_STATE`: the rules do not allow the room's first events.
pub(crate) fn invalid_room_state(error: impl Into<String>) -> CommandError {
    refused(400, "M_INVALID_ROOM_STATE", error)
}

/// The errcode of [`no_guests`].
pub(crate) const NO_GUESTS: &str = "M_GUEST_ACCESS_FORBIDDEN";

/// `M_GUEST_ACCESS_FORBIDDEN`: the room lets no guests in.
pub(crate) fn no_guests() -> CommandError {
    refused(403, NO_GUESTS, "This room lets no guests in")
}

/// `M_UNKNOWN`: the request makes no sense as things are.
pub(crate) fn bad_state(error: impl Into<String>) -> CommandError {
    refused(400, "M_UNKNOWN", error)
}

/// `M_UNKNOWN_TOKEN`: the account or device is no longer there.
pub(crate) fn unknown_token(error: impl Into<String>) -> CommandError {
    refused(401, "M_UNKNOWN_TOKEN", error)
}

impl From<DbError> for CommandError {
    fn from(error: DbError) -> Self {
        Self::Store(error.into())
    }
}

impl From<AuthError> for CommandError {
    fn from(error: AuthError) -> Self {
        forbidden(error.to_string())
    }
}

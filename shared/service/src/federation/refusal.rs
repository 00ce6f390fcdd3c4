//! Why an event that another server hands over is not taken.

use plexus_core::event::EventError;

use crate::ServiceError;

/// The event cannot be read, or nobody has signed it who would have to.
pub(super) fn refuse(error: &EventError) -> ServiceError {
    match error {
        EventError::Signature(_) | EventError::Missing("hashes" | "signatures") => {
            ServiceError::forbidden(error.to_string())
        }
        EventError::Json(_) => ServiceError::bad_json(error.to_string()),
        EventError::Missing(_)
        | EventError::Invalid(_)
        | EventError::FieldTooLong { .. }
        | EventError::TooLarge { .. }
        | EventError::TooManyReferences { .. } => ServiceError::invalid_param(error.to_string()),
    }
}

/// The event is somebody else's than of the server that hands it over.
pub(super) fn not_yours() -> ServiceError {
    ServiceError::forbidden("the event's sender is not a user of your server")
}

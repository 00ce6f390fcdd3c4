//! How large things may be that clients give us to keep.

use serde_json::value::RawValue;

use crate::{ServiceError, error::Refusal};

/// Longest name of anything, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Most bytes of one key, or one message: as many as an event may have.
pub(crate) const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Refuses a name that is empty, too long, or cannot be stored: PostgreSQL has no NUL in a text.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), ServiceError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
        return Err(ServiceError::invalid_param(format!(
            "{what} has 1 to {NAME_BYTES_MAX} bytes and no NUL"
        )));
    }
    Ok(())
}

/// Refuses a value that is too large.
pub(crate) fn check_size(what: &str, value: &RawValue) -> Result<(), ServiceError> {
    if value.get().len() > VALUE_BYTES_MAX {
        return Err(ServiceError::refused(
            Refusal::TooLarge,
            format!("{what} has more than {VALUE_BYTES_MAX} bytes"),
        ));
    }
    Ok(())
}

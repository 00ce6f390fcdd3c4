//! Whose devices and keys have changed.

use super::scope::Scope;
use crate::ServiceError;

/// Appends the member `device_lists`; whether there is anything new.
pub(super) async fn write(_scope: &Scope<'_>, _out: &mut Vec<u8>) -> Result<bool, ServiceError> {
    Ok(false)
}

//! Who is there.

use super::scope::Scope;
use crate::ServiceError;

/// Appends the member `presence`; whether there is anything new.
pub(super) async fn write(_scope: &Scope<'_>, _out: &mut Vec<u8>) -> Result<bool, ServiceError> {
    Ok(false)
}

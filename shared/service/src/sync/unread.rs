//! How much of a room is unread.

use super::{scope::Scope, visits::Visit};
use crate::ServiceError;

/// Appends the member `unread_notifications`.
pub(super) async fn write(_scope: &Scope<'_>, _visit: &Visit, out: &mut Vec<u8>) -> Result<(), ServiceError> {
    out.extend_from_slice(b"\"unread_notifications\":{}");
    Ok(())
}

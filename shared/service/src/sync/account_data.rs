//! Account data: the user's own, and that of his rooms.

use super::{scope::Scope, visits::Visit};
use crate::ServiceError;

/// Appends the member `account_data`; whether there is anything new.
pub(super) async fn write(_scope: &Scope<'_>, _out: &mut Vec<u8>) -> Result<bool, ServiceError> {
    Ok(false)
}

/// Appends the events of a room, separated by commas; nothing if there is nothing new.
pub(super) async fn write_of_room(_scope: &Scope<'_>, _visit: &Visit, _out: &mut Vec<u8>) -> Result<(), ServiceError> {
    Ok(())
}

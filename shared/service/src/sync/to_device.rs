//! Messages to the device.

use super::scope::Scope;
use crate::ServiceError;

/// What has been told.
pub(super) struct ToDevice {
    /// Whether there were any.
    pub(super) has_news: bool,
    /// The place of the last message told, which the device's next `since` acknowledges.
    pub(super) told: i64,
}

/// Appends the member `to_device`.
pub(super) async fn write(scope: &Scope<'_>, _out: &mut Vec<u8>) -> Result<ToDevice, ServiceError> {
    Ok(ToDevice {
        has_news: false,
        told: scope.window.to_device,
    })
}

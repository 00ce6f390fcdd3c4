//! What the operations on a backup's keys have in common.

use crate::{call::Call, error::Error, extract::query::Query};

/// Most bytes of keys in one request.
pub(super) const BODY_CAP: usize = 8 * 1024 * 1024;

/// The version that the query names.
pub(super) fn version(call: &Call) -> Result<String, Error> {
    let query = Query::parse(call.query())?;
    let version = query.get("version").map(str::to_owned);
    version.ok_or_else(|| Error::missing_param("missing query parameter `version`"))
}

/// A variable segment of the path.
pub(super) fn path(call: &Call, index: usize) -> &str {
    call.path.get(index).map(String::as_str).unwrap_or_default()
}

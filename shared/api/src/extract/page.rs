//! What the queries of paged endpoints have in common.

use plexus_core::filter::PageFilter;
use plexus_storage::events::Direction;

use super::query::Query;
use crate::error::Error;

/// `dir`, if it is there.
pub fn direction(query: &Query<'_>) -> Result<Option<Direction>, Error> {
    match query.get("dir") {
        Some("b") => Ok(Some(Direction::Backward)),
        Some("f") => Ok(Some(Direction::Forward)),
        Some(_) => Err(Error::invalid_param("dir is neither b nor f")),
        None => Ok(None),
    }
}

/// `limit`, if it is there; what behaviour makes of it has a bound of its own.
pub fn limit(query: &Query<'_>) -> Result<Option<usize>, Error> {
    let limit = query.number("limit")?;
    Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)))
}

/// `filter`: JSON in the query.
pub fn filter(query: &Query<'_>) -> Result<PageFilter, Error> {
    let filter = query.get("filter").map(|filter| PageFilter::parse(filter.as_bytes()));
    let filter = filter.transpose();
    Ok(filter
        .map_err(|error| Error::invalid_param(error.to_string()))?
        .unwrap_or_default())
}

/// A text, if it is there.
pub fn text(query: &Query<'_>, key: &str) -> Option<String> {
    query.get(key).map(str::to_owned)
}

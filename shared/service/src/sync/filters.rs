//! The filter of a sync: stored and named by id, or given in the request.

use plexus_core::filter::{Filter, FilterError};

use crate::{Ctx, Requester, ServiceError};

/// The filter a request names or gives; the one that shows everything if it does neither.
pub(super) async fn load(ctx: &Ctx, requester: &Requester, filter: Option<&str>) -> Result<Filter, ServiceError> {
    let Some(text) = filter else {
        return Ok(Filter::default());
    };
    if text.starts_with('{') {
        return Filter::parse(text.as_bytes()).map_err(|error| refused(&error));
    }
    let unknown = || ServiceError::invalid_param("there is no filter with this id");
    let id: i64 = text.parse().map_err(|_| unknown())?;
    let stored = ctx.store.filter(requester.user, id).await?.ok_or_else(unknown)?;
    Filter::parse(&stored).map_err(|error| refused(&error))
}

fn refused(error: &FilterError) -> ServiceError {
    ServiceError::invalid_param(format_args!("the filter cannot be used: {error}"))
}

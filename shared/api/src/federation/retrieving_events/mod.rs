//! Retrieving events: single ones, and states with what allows them.

pub(super) mod event;
pub(super) mod event_auth;
pub(super) mod state;
pub(super) mod state_ids;
pub(super) mod timestamp_to_event;

use ruma::OwnedEventId;

use crate::{call::Call, error::Error, extract::query::Query};

/// `event_id` in the query, which has to be there.
fn event_id(call: &Call) -> Result<OwnedEventId, Error> {
    let query = Query::parse(call.query())?;
    let event_id = query.get("event_id");
    let event_id = event_id.ok_or_else(|| Error::missing_param("event_id is missing"))?;
    OwnedEventId::try_from(event_id).map_err(|_| Error::invalid_param("event_id is not valid"))
}

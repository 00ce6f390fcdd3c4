//! Backfilling and retrieving missing events.

pub(super) mod backfill;
pub(super) mod missing_events;

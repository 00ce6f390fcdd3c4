//! Server-side search.

pub(super) mod search;

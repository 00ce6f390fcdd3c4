//! Device management.

pub(super) mod delete;
pub(super) mod delete_many;
pub(super) mod get;
pub(super) mod list;
pub(super) mod rename;

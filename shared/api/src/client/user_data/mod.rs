//! User data: profiles.

pub(super) mod delete_profile_field;
pub(super) mod profile;
pub(super) mod profile_field;
pub(super) mod set_profile_field;

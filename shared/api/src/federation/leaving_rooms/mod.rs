//! Leaving rooms, and refusing invites.

pub(super) mod make_leave;
pub(super) mod send_leave;

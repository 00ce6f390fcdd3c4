//! Knocking upon rooms.

pub(super) mod make_knock;
pub(super) mod send_knock;

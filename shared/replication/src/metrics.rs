//! Names of this crate's metrics.

use std::borrow::Cow;

use plexus_core::position::WriterId;

use crate::EPHEMERAL;

/// Where this process is on a chain. Labels: `chain`.
pub(crate) const LOG_POSITION: &str = "plexus_log_position";
/// How many rows this process is behind what it has heard of. Labels: `chain`.
pub(crate) const LOG_LAG: &str = "plexus_log_lag";
/// Frames received, by what became of them. Labels: `outcome`.
pub(crate) const LOG_FRAMES: &str = "plexus_log_frames_total";
/// Times this process asked for what it had missed. Labels: `chain`.
pub(crate) const LOG_FILLS: &str = "plexus_log_fills_total";
/// Times the chain no longer reached back to this process, which then dropped its caches. Labels: `chain`.
pub(crate) const LOG_RESTARTS: &str = "plexus_log_restarts_total";
/// Frames taken from a transport that could not be read, or could not be given to one.
pub(crate) const BUS_DROPPED: &str = "plexus_bus_dropped_total";
/// Whether this process hears the bus (1) or takes frames from the master instead (0).
pub(crate) const BUS_UP: &str = "plexus_bus_up";
/// How long a Command took until this process had reached what it did. Labels: `command`, `outcome`.
pub(crate) const COMMAND_SECONDS: &str = "plexus_command_seconds";
/// Times a Command was sent again. Labels: `command`.
pub(crate) const COMMAND_RETRIES: &str = "plexus_command_retries_total";
/// Users whose rooms the notifier knows.
pub(crate) const LISTENERS_WARM: &str = "plexus_listeners_warm";

/// The `chain` label.
pub(crate) fn chain(writer: WriterId) -> Cow<'static, str> {
    match writer {
        WriterId::MASTER => Cow::Borrowed("1"),
        EPHEMERAL => Cow::Borrowed("ephemeral"),
        WriterId(other) => Cow::Owned(other.to_string()),
    }
}

//! The master's metrics.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// Seconds a group commit took.
pub const COMMIT_SECONDS: &str = "plexus_commit_seconds";
/// Rows in a group commit.
pub const COMMIT_ROWS: &str = "plexus_commit_rows";
/// Change sets in a group commit.
pub const COMMIT_CHANGE_SETS: &str = "plexus_commit_change_sets";
/// Lanes in memory.
pub const LANES: &str = "plexus_lanes";
/// Commands carried out, by kind and outcome.
pub const COMMANDS_TOTAL: &str = "plexus_master_commands_total";
/// Seconds a Command took in the master, by kind.
pub const COMMAND_SECONDS: &str = "plexus_master_command_seconds";
/// Seconds a state resolution took, with the loading of what it needed.
pub const RESOLUTION_SECONDS: &str = "plexus_resolution_seconds";
/// Events in question in a state resolution.
pub const RESOLUTION_CONFLICTED: &str = "plexus_resolution_conflicted";
/// Whether this process leads (1) or stands by (0).
pub const LEADING: &str = "plexus_master_leading";

pub(crate) fn commit(rows: usize, change_sets: usize, took: Duration) {
    histogram!(COMMIT_SECONDS).record(took);
    histogram!(COMMIT_ROWS).record(as_f64(rows));
    histogram!(COMMIT_CHANGE_SETS).record(as_f64(change_sets));
}

pub(crate) fn lanes(count: usize) {
    gauge!(LANES).set(as_f64(count));
}

pub(crate) fn command(kind: &'static str, outcome: &'static str, took: Duration) {
    counter!(COMMANDS_TOTAL, "kind" => kind, "outcome" => outcome).increment(1);
    histogram!(COMMAND_SECONDS, "kind" => kind).record(took);
}

pub(crate) fn resolution(conflicted: usize, took: Duration) {
    histogram!(RESOLUTION_SECONDS).record(took);
    histogram!(RESOLUTION_CONFLICTED).record(as_f64(conflicted));
}

pub(crate) fn leading(leads: bool) {
    gauge!(LEADING).set(if leads { 1.0 } else { 0.0 });
}

fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

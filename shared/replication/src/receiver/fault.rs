//! Whether a process can go on along the log.

use plexus_core::position::Sequence;

/// A fault of this process's own. It stays: only another release, or a fresh start, mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The log holds a row this release does not know, right after this place. A newer release wrote it.
    #[error("the log holds a row after {at} of writer {writer} that this release does not know")]
    UnknownRow {
        /// Whose chain.
        writer: u16,
        /// The last place understood.
        at: Sequence,
    },
    /// The log does not continue from what was applied: the database was put back to an earlier state under a running process.
    #[error("the log of writer {writer} went back behind {at}: the database was restored, restart this process")]
    Rewound {
        /// Whose chain.
        writer: u16,
        /// The place reached before.
        at: Sequence,
    },
}

/// Whether this process may be sent requests. A master that is away is no fault of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// No fault of its own.
    Ready,
    /// It cannot go on along the log.
    Faulty(Fault),
}

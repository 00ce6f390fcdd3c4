//! How the log travels: frames, the transports that carry them, and the one door through which they enter a process.
//!
//! The master commits frames and hands them to the [`Publisher`]. Every process has one [`Replica`]: it receives frames, fills gaps, corrects the
//! caches of the [`Store`](plexus_storage::Store), moves its position and wakes who waits. It also takes Commands to the master and returns once this
//! process has reached what they did.
//!
//! This crate knows neither Matrix endpoints nor HTTP; it is the only one that knows Redis and the only one that knows how the master is reached.

mod bus;
mod chain;
mod clock;
mod ephemeral;
mod fill;
pub mod frames;
mod heads;
mod link;
mod master_client;
mod metrics;
mod notifier;
mod publisher;
mod receiver;
mod replica;
mod secret;
mod status;
mod tasks;
#[cfg(test)]
mod testing;
mod waiters;

pub use self::{
    bus::{Bus, BusError, RedisBus},
    clock::Clock,
    ephemeral::EphemeralRing,
    link::NotReached,
    master_client::{COMMAND_DEADLINE, MasterService, MasterTarget, is_in_process},
    notifier::Listener,
    publisher::{FrameStream, Publisher},
    receiver::{Fault, Readiness},
    replica::{Replica, ReplicaParts, StartError, log_updates},
    secret::{InvalidSecret, Secret, SecretCheck, master_server},
    status::{MasterError, matrix_status},
    tasks::Tasks,
};

use plexus_core::position::WriterId;

/// The writer of the ephemeral chain (typing, presence): in the leading master's memory only, never part of a stored
/// [`Position`](plexus_core::position::Position).
pub const EPHEMERAL: WriterId = WriterId(u16::MAX);

//! The master: the one role that changes ordered data.
//!
//! A Command comes in through [`service`], runs in a lane (one room or one user at a time, [`lanes`]), is decided on the lane's pending head
//! ([`decide`]), and is committed to the log by the one [`sequencer`]. Which process does so is settled by a lease in the database ([`master`]); the others
//! stand by. The master never waits for another server.

mod change_set;
mod decide;
mod ephemeral;
mod error;
mod facts;
mod intern;
mod lanes;
mod leader;
mod master;
pub mod metrics;
mod presence;
mod prune;
mod recent;
mod resolve;
mod sequencer;
mod service;
mod slowest;
mod tasks;
mod typing;
mod verify;

#[cfg(test)]
mod tests;

pub use self::{
    leader::Identity,
    master::{Master, MasterConfig},
    service::MasterService,
    verify::{Verified, VerifyError, verify_room},
};

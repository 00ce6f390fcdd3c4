//! The rules of Matrix as pure functions.
//!
//! Everything here is a function of its arguments: no I/O, no clock, no randomness, no logging, no async. What a decision needs is loaded by the
//! caller and handed in; what it decides is returned.

pub mod acl;
pub mod auth;
pub mod auth_chain;
pub mod event;
pub mod filter;
pub mod ids;
pub mod position;
pub mod push_rules;
pub mod resolve;
pub mod room_version;
pub mod row;
pub mod state;
pub mod token;
pub mod varint;
pub mod visibility;
pub mod words;

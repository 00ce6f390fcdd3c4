//! Telling people of events: push rules, what is unread, pushers.

pub mod ask;
pub mod notifications;
pub mod pushers;
pub mod read;
pub mod rules;
pub mod unread;

//! What a receiver does outside itself, as functions it is given.

use std::fmt;

use futures_util::future::BoxFuture;
use plexus_core::{
    ids::{RoomNid, UserNid},
    position::{Epoch, Sequence, WriterId},
    row::Row,
};

use crate::fill::{FillError, Updates};

/// Corrects the caches for one row.
type Apply = dyn Fn(WriterId, Epoch, Sequence, &Row) + Send + Sync;
/// Fetches what follows a place.
type Fetch = dyn Fn(WriterId, Epoch, Sequence) -> Fetching + Send + Sync;
type Fetching = BoxFuture<'static, Result<Updates, FillError>>;

/// The rooms a user is joined to, if they are at hand.
pub(crate) type RoomsOf = dyn Fn(UserNid) -> Option<Vec<RoomNid>> + Send + Sync;

/// What a receiver does to the world.
pub(crate) struct Hooks {
    /// Corrects the caches for one row.
    pub(crate) apply: Box<Apply>,
    /// Drops every cache that rows would have corrected.
    pub(crate) drop_caches: Box<dyn Fn() + Send + Sync>,
    /// A term of the ephemeral chain begins here, or its whole state follows: what was known before it is void.
    pub(crate) forget_ephemeral: Box<dyn Fn(Epoch) + Send + Sync>,
    /// Tells whom the presence of a user who does not listen here concerns.
    pub(crate) rooms_of: Box<RoomsOf>,
    /// Fetches what follows a place.
    pub(crate) updates: Box<Fetch>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

//! What can go wrong in a read.

use plexus_core::{
    event::EventError,
    ids::{EventNid, NodeId, RoomNid},
};

use crate::db::DbError;

/// A read failed. "Not found" is an `Option` and never this.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, or not with what was asked for.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A row holds what nobody wrote there.
    #[error("corrupt data in table {table}: {what}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The stored JSON of an event cannot be read back.
    #[error("the stored event {} cannot be read", event.0)]
    Event {
        /// Which one.
        event: EventNid,
        /// Why.
        source: EventError,
    },
    /// A table refers to an event that is not there.
    #[error("event {} is referred to but not stored", .0.0)]
    MissingEvent(EventNid),
    /// A state root or node refers to a node that is not there, is damaged, or stands where it cannot.
    #[error("state node {} of room {} is missing or damaged", node.0, room.0)]
    Node {
        /// The room.
        room: RoomNid,
        /// The node.
        node: NodeId,
    },
}

impl StoreError {
    /// A row of `table` holds what nobody wrote there.
    pub(crate) fn corrupt(table: &'static str, what: impl Into<String>) -> Self {
        Self::Corrupt {
            table,
            what: what.into(),
        }
    }
}

//! Verifying a room: everything that follows from its events is worked out anew and compared with what is stored. `plexus room verify`.
//!
//! The events are gone through in the order in which they came, with the rules by which the master puts them in their places. What is stored of the events
//! before one is taken for right where it was found to be right, so a room costs about as much as its events and not as the states of all of them.
//!
//! Every node that a state needs is read on the way, and its checksum compared: it is part of what some event leads to, or of what is taken as it is.
//!
//! Some things cannot be worked out: the state before an event whose predecessors are not here (the first events after a purge, or of a room that was joined
//! from elsewhere) is taken as it is stored, if it can be read.

mod ends;
mod states;
mod walk;
mod write;

use plexus_core::ids::{EventNid, RoomNid};
use plexus_storage::{
    Store, StoreError,
    db::{Database, DbError},
    events::StoredEvent,
    room_heads,
};
use ruma::{RoomId, ServerName};

use self::{ends::Ends, walk::Walk};

/// Most disagreements that are listed; the others are counted.
const LISTED_MAX: usize = 1_000;

/// How often a room is begun anew that changes while it is gone through.
const ATTEMPTS_MAX: usize = 5;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many events were gone through.
    pub events: usize,
    /// What is not as it should be, in words, the first of them.
    pub disagreements: Vec<String>,
    /// How many disagreements there are.
    pub total: usize,
    /// How many rows were written to set them right.
    pub written: usize,
}

impl Verified {
    fn disagree(&mut self, what: impl Into<String>) {
        self.total += 1;
        if self.disagreements.len() < LISTED_MAX {
            self.disagreements.push(what.into());
        }
    }
}

/// A room cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nobody here has heard of it, or it was deleted.
    #[error("there is no such room on this server")]
    UnknownRoom,
    /// Events come all the time.
    #[error("the room changed while it was gone through, again and again")]
    Restless,
    /// Only who leads may write.
    #[error("a master is running: stop all of them before a room is rebuilt")]
    MasterRuns,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbError> for VerifyError {
    fn from(error: DbError) -> Self {
        Self::Store(error.into())
    }
}

/// Works out what follows from a room's events and compares it with what is stored. With `rebuild`, writes what is right; no master may run then.
pub async fn verify_room(
    db: &Database,
    server_name: &ServerName,
    room_id: &str,
    rebuild: bool,
) -> Result<Verified, VerifyError> {
    let room_id = <&RoomId>::try_from(room_id).map_err(|_| VerifyError::UnknownRoom)?;
    if !rebuild {
        return Ok(attempt(db, server_name, room_id).await?.0);
    }
    let mut lease = write::Lease::take(db).await?;
    let outcome = async {
        let (mut verified, right) = attempt(db, server_name, room_id).await?;
        verified.written = lease.write(right).await?;
        Ok(verified)
    };
    let outcome = outcome.await;
    lease.release().await?;
    outcome
}

/// What is to be written where something else is stored.
#[derive(Debug)]
struct Right {
    room: RoomNid,
    walk: walk::Right,
    ends: ends::Right,
}

async fn attempt(db: &Database, server_name: &ServerName, room_id: &RoomId) -> Result<(Verified, Right), VerifyError> {
    for _ in 0..ATTEMPTS_MAX {
        // With nothing in memory: what is read is what is stored.
        let store = Store::new(db.clone());
        let room = store.room(room_id).await?.ok_or(VerifyError::UnknownRoom)?;
        let head = room_heads::load(db, room.nid).await?;
        let head = head
            .filter(|head| !head.extremities.is_empty())
            .ok_or(VerifyError::UnknownRoom)?;
        let mut found = Verified::default();
        let mut walk = Walk::begin(&store, &room, server_name, head.next_node).await?;
        walk.go(&mut found).await?;
        let ends = Ends::check(&mut walk, &head, &mut found).await?;
        if room_heads::load(db, room.nid).await?.as_ref() == Some(&head) {
            let right = Right {
                room: room.nid,
                walk: walk.into_right(),
                ends,
            };
            return Ok((found, right));
        }
    }
    Err(VerifyError::Restless)
}

/// An event in the words of a disagreement.
fn named(event: &StoredEvent) -> String {
    format!("event {} ({})", event.body.event_id(), event.body.kind())
}

/// The numbers of events as they are compared.
fn sorted(events: impl IntoIterator<Item = EventNid>) -> Vec<EventNid> {
    let mut sorted: Vec<EventNid> = events.into_iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

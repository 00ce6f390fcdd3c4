//! One at a time through the door of a room: users of this server who join the same room of others at once would each bring its whole state.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use ruma::{OwnedRoomId, RoomId};
use tokio::sync::OwnedMutexGuard;

/// Doors that somebody is at. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Doors(Arc<Mutex<HashMap<OwnedRoomId, Weak<Door>>>>);

type Door = tokio::sync::Mutex<()>;

impl Doors {
    /// Waits for one's turn. As many wait as there are requests, which are bounded elsewhere.
    pub(crate) async fn enter(&self, room_id: &RoomId) -> OwnedMutexGuard<()> {
        let door = self.door(room_id);
        door.lock_owned().await
    }

    fn door(&self, room_id: &RoomId) -> Arc<Door> {
        let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doors.retain(|_, door| door.strong_count() > 0);
        if let Some(door) = doors.get(room_id).and_then(Weak::upgrade) {
            return door;
        }
        let door = Arc::new(Door::default());
        doors.insert(room_id.to_owned(), Arc::downgrade(&door));
        door
    }
}

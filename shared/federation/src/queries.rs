//! What other servers are asked about besides the events of rooms: aliases, devices and keys, directories, spaces, files.
//!
//! One file for each endpoint. What an answer says is no more than what that server says: whoever uses it checks that it may speak of it.

mod claim;
mod devices;
mod directory;
mod hierarchy;
mod keys;
mod media;
mod public_rooms;
mod timestamp;

pub use self::{
    claim::{ClaimedKeys, KeysToClaim},
    devices::{UserDevice, UserDevices},
    directory::RoomOfAlias,
    hierarchy::Hierarchy,
    keys::{KeysOfUsers, KeysWanted},
    media::{FileError, RemoteFile},
    public_rooms::{DirectoryFilter, DirectoryWish},
    timestamp::ClosestEvent,
};

//! The master as its callers see it, over both engines: Commands in, results and log rows out, whatever happens in between.

mod accounts;
mod adversary;
mod bench_room;
mod costs;
mod faults;
mod graph;
mod history;
mod keys;
mod partial;
mod relations;
mod removals;
mod room_life;
mod rooms;
mod state_size;
mod unknown_commit;
mod user_data;
mod verify;

pub(crate) use self::bench_room::{Server, room_events};

//! What this server is to other servers: one of the servers of a room, and one that asks others for what only they know.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/>

pub mod resident;
pub mod visible;

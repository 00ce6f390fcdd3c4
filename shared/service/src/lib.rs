//! What the server does, without HTTP or gRPC types.
//!
//! Behaviour is a free `async fn verb_noun(ctx, requester, ...)`: it reads through the store, decides with the pure functions of `plexus-core`, and
//! writes by sending the master a Command. It does not know which role the process runs, nor how the request came in.

pub mod client_event;
pub mod ctx;
pub mod derived;
pub mod destinations;
pub mod e2e;
pub mod error;
pub mod federation;
pub mod ids;
pub mod media;
pub mod presence;
pub mod push;
pub mod reports;
pub mod rooms;
pub mod search;
pub mod sync;
pub mod tokens;
mod user_memory;
pub mod users;

pub use ctx::{Ctx, Registration, Requester, ServiceConfig, Social, SyncConfig, Uploads};
pub use error::ServiceError;
pub use user_memory::UserMemory;

//! End-to-end encryption: the server keeps and passes on what it cannot read.
//!
//! Keys are JSON that only clients understand. The server checks whose they are and how large they are, and that signatures it is asked to publish are
//! good; otherwise it keeps them as they were given, and gives them out with what others have signed.

pub mod backup;
pub mod changes;
pub mod claim;
pub mod cross_signing;
pub(crate) mod limits;
pub mod query;
pub mod signatures;
pub(crate) mod signed;
pub mod to_device;
pub mod upload;

//! The content repository.

pub(super) mod config;
pub(super) mod create;
pub(crate) mod download;
mod range;
mod send;
pub(crate) mod thumbnail;
pub(super) mod upload;
pub(super) mod upload_to;

//! The content repository.

pub(super) mod config;
pub(super) mod create;
pub(super) mod download;
mod range;
mod send;
pub(super) mod thumbnail;
pub(super) mod upload;
pub(super) mod upload_to;

//! Why the store did not do what it was asked.

use std::io;

/// What can go wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The disk.
    #[error("the media folder: {0}")]
    Io(#[from] io::Error),
    /// A picture larger than what we decode, in pixels or in bytes.
    #[error("the picture is too large to make a thumbnail of")]
    TooLarge,
    /// Not one of the formats we decode, or broken.
    #[error("no thumbnail can be made of this: {0}")]
    NoPicture(String),
    /// More work than we take on at once.
    #[error("too many at once, try again later")]
    Busy,
    /// The process is stopping, or the work panicked.
    #[error("the work was not finished: {0}")]
    Unfinished(#[from] tokio::task::JoinError),
}

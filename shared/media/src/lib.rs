//! The media store: files by the hash of what is in them, and the thumbnails made of them.
//!
//! It knows neither rows nor HTTP: whose a file is, and under which id it is asked for, is `plexus-service`'s; how it is sent, `plexus-api`'s.
//! What a browser may do with a file is decided here, in [`served`].

pub mod blobs;
pub mod error;
pub mod metrics;
pub mod served;
pub mod thumbnail;
pub mod turns;

use std::{path::PathBuf, sync::Arc};

use tokio::runtime::Handle;

pub use self::{
    blobs::{BlobHash, Blobs, Incoming, Stored},
    error::MediaError,
    thumbnail::{Method, Size, Thumbnails},
    turns::Turns,
};

/// Everything about files that a process has. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Media {
    /// The files.
    pub blobs: Blobs,
    /// What makes small pictures of large ones.
    pub thumbnails: Thumbnails,
    /// How many uploads there may be at once.
    pub turns: Turns,
    /// Rises with every file that has arrived, for those who wait for one.
    pub arrivals: Arc<tokio::sync::watch::Sender<u64>>,
}

impl Media {
    /// A store in `folder`, which need not exist yet. Pictures of more than `pixels_max` pixels get no thumbnails.
    pub fn new(folder: PathBuf, pixels_max: u64, runtime: Handle) -> Self {
        let blobs = Blobs::new(folder, runtime.clone());
        Self {
            thumbnails: Thumbnails::new(blobs.clone(), pixels_max, runtime),
            blobs,
            turns: Turns::default(),
            arrivals: Arc::default(),
        }
    }
}

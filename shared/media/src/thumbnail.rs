//! Small pictures of large ones.
//!
//! Decoding what strangers upload is bounded in every way: four formats, told by their first bytes; a number of pixels, looked at before anything is
//! decoded; bytes, memory, time; and how many pictures are worked on at once.

mod decode;
mod encode;
mod format;
mod make;
mod size;

use std::{
    collections::HashMap,
    fs,
    num::NonZero,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use metrics::histogram;
use tokio::{
    runtime::Handle,
    sync::{OwnedMutexGuard, Semaphore},
};

pub use self::{
    make::{Made, make},
    size::{Method, SIDE_MAX, Size},
};
use crate::{BlobHash, Blobs, MediaError, metrics::THUMBNAIL_SECONDS};

/// Most pictures that are decoded at once; each can take a few bytes for every pixel.
const RUNNING_MAX: usize = 4;
/// Most that wait for their turn.
const WAITING_MAX: usize = 64;
/// Longest file that is decoded. Pictures of as many pixels as we take are shorter.
const SOURCE_BYTES_MAX: u64 = 64 << 20;
/// How long a thumbnail may take, its wait included.
const TIME_MAX: Duration = Duration::from_secs(20);

/// What a thumbnail is made of and to which size; `animated` allows for a picture that moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    pub source: BlobHash,
    pub size: Size,
    pub animated: bool,
}

/// What is given to the decoder.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most pixels of a picture.
    pub pixels_max: u64,
    /// When to give up.
    pub deadline: Instant,
}

/// The pool that makes thumbnails. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Thumbnails {
    blobs: Blobs,
    pixels_max: u64,
    runtime: Handle,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    /// One lock for each thumbnail that somebody is making; bounded by the requests that are being answered.
    claims: Arc<Mutex<HashMap<Wanted, Weak<tokio::sync::Mutex<()>>>>>,
}

/// Whoever holds it is the only one in this process that makes a certain thumbnail.
#[derive(Debug)]
pub struct Claim {
    wanted: Wanted,
    claims: Arc<Mutex<HashMap<Wanted, Weak<tokio::sync::Mutex<()>>>>>,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Thumbnails {
    pub(crate) fn new(blobs: Blobs, pixels_max: u64, runtime: Handle) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let running = cores.min(RUNNING_MAX);
        Self {
            blobs,
            pixels_max,
            runtime,
            running: Arc::new(Semaphore::new(running)),
            admitted: Arc::new(Semaphore::new(running + WAITING_MAX)),
            claims: Arc::default(),
        }
    }

    /// Waits until nobody else in this process makes the same thumbnail. Look for it once more then.
    pub async fn claim(&self, wanted: Wanted) -> Claim {
        let lock = {
            let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
            let known = claims.get(&wanted).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let lock = Arc::default();
                claims.insert(wanted, Arc::downgrade(&lock));
                lock
            })
        };
        Claim {
            wanted,
            claims: Arc::clone(&self.claims),
            turn: Some(lock.lock_owned().await),
        }
    }

    /// Makes a thumbnail, on a thread of the pool.
    pub async fn make(&self, wanted: Wanted) -> Result<Made, MediaError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned();
        let _admitted = admitted.map_err(|_| MediaError::Busy)?;
        let deadline = Instant::now() + TIME_MAX;
        let running = tokio::time::timeout_at(deadline.into(), Arc::clone(&self.running).acquire_owned());
        let Ok(Ok(running)) = running.await else {
            return Err(MediaError::Busy);
        };
        let (path, pixels_max) = (self.blobs.path_of(wanted.source), self.pixels_max);
        let work = self.runtime.spawn_blocking(move || {
            let started = Instant::now();
            let made = read(&path).and_then(|source| {
                let bounds = Bounds { pixels_max, deadline };
                make(&source, wanted.size, wanted.animated, bounds)
            });
            histogram!(THUMBNAIL_SECONDS).record(started.elapsed());
            // Given back by the work, not by the request, which may have gone away.
            drop(running);
            made
        });
        match tokio::time::timeout_at(deadline.into(), work).await {
            Ok(made) => made?,
            Err(_) => Err(MediaError::Busy),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        self.turn = None;
        // The last one closes the door: nobody can have taken the lock since, as that needs the map.
        if claims.get(&self.wanted).is_some_and(|lock| lock.strong_count() == 0) {
            claims.remove(&self.wanted);
        }
    }
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, MediaError> {
    let length = fs::metadata(path)?.len();
    if length > SOURCE_BYTES_MAX {
        return Err(MediaError::TooLarge);
    }
    Ok(fs::read(path)?)
}

#[cfg(test)]
mod tests;

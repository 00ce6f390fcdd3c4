//! Files in a folder, each under the SHA-256 of its content: the same content twice is stored once.
//!
//! A path is made of a hash and of nothing else, so no id or name from outside can lead anywhere else. A file is written under a temporary name and
//! renamed when it is whole and on the disk, so what has its name is complete.

mod incoming;

use std::{
    fmt, fs,
    io::{self, Read as _, Seek as _, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use metrics::counter;
use tokio::runtime::Handle;

pub use self::incoming::{Incoming, Stored};
use crate::{MediaError, metrics::SENT_BYTES_TOTAL};

/// Bytes read from the disk at once, which is also what one download holds in memory.
const PIECE_BYTES: u64 = 128 * 1024;

/// The SHA-256 of a file's content, which is its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobHash(pub [u8; 32]);

impl BlobHash {
    /// The hash that a row holds; nothing if it is none.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The folder of files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Blobs {
    folder: Arc<Path>,
    /// Where blocking work runs: HTTP threads have small runtimes of their own.
    runtime: Handle,
}

impl Blobs {
    /// The files in `folder`, which is made when the first one comes.
    pub fn new(folder: PathBuf, runtime: Handle) -> Self {
        Self {
            folder: folder.into(),
            runtime,
        }
    }

    /// Begins to take in a file.
    pub async fn receive(&self) -> Result<Incoming, MediaError> {
        Incoming::start(self.clone()).await
    }

    /// Stores what is in memory already.
    pub async fn insert(&self, content: Bytes) -> Result<Stored, MediaError> {
        let mut incoming = self.receive().await?;
        incoming.write(content).await?;
        incoming.finish().await
    }

    /// Opens a file; nothing if there is none of that content.
    pub async fn open(&self, hash: BlobHash) -> Result<Option<fs::File>, MediaError> {
        let path = self.path_of(hash);
        self.blocking(move || match fs::File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        })
        .await
    }

    /// Removes a file, if it is there.
    pub async fn remove(&self, hash: BlobHash) -> Result<(), MediaError> {
        let path = self.path_of(hash);
        self.blocking(move || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        })
        .await
    }

    /// A part of an open file, read as it is asked for. Ends with an error if the file is shorter.
    pub fn pieces(&self, file: fs::File, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let runtime = self.runtime.clone();
        stream::try_unfold((file, range), move |(mut file, range)| {
            let runtime = runtime.clone();
            async move {
                if range.is_empty() {
                    return Ok(None);
                }
                let length = (range.end - range.start).min(PIECE_BYTES);
                let read = runtime.spawn_blocking(move || {
                    let mut piece = vec![0; usize::try_from(length).map_err(io::Error::other)?];
                    file.seek(SeekFrom::Start(range.start))?;
                    file.read_exact(&mut piece)?;
                    Ok::<_, io::Error>((piece, file))
                });
                let (piece, file) = read.await.map_err(io::Error::other)??;
                counter!(SENT_BYTES_TOTAL).increment(length);
                Ok(Some((Bytes::from(piece), (file, range.start + length..range.end))))
            }
        })
    }

    /// Where the file of a hash is: two levels of folders, so that none gets too full.
    pub(crate) fn path_of(&self, hash: BlobHash) -> PathBuf {
        let name = hash.to_string();
        self.folder.join(&name[..2]).join(&name[2..4]).join(&name[4..])
    }

    /// Where files are until they are whole: on the same disk, so that they can be renamed.
    fn incoming_folder(&self) -> PathBuf {
        self.folder.join("incoming")
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, MediaError> + Send + 'static,
    ) -> Result<T, MediaError> {
        self.runtime.spawn_blocking(work).await?
    }
}

#[cfg(test)]
mod tests;

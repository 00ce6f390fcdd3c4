//! A file on its way in: hashed while it is written, and named by its hash once it is on the disk.

use std::{fs, io, path::Path, time::Duration};

use bytes::Bytes;
use metrics::counter;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{BlobHash, Blobs};
use crate::{MediaError, metrics::RECEIVED_BYTES_TOTAL};

/// Bytes gathered before they are written, which is also about what one upload holds in memory.
const WRITE_BYTES: usize = 256 * 1024;
/// How old a temporary file is whose process did not come to remove it. No upload takes as long.
const ABANDONED_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Most temporary files that are looked at to find those.
const ABANDONED_LOOKED_AT_MAX: usize = 10_000;

/// A file that has been stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub hash: BlobHash,
    /// Its length in bytes.
    pub size: u64,
}

/// A file that is being written. It is gone if it is dropped before [`Incoming::finish`].
#[derive(Debug)]
pub struct Incoming {
    blobs: Blobs,
    /// Away while a write is running; whoever gives up in between leaves it to that write, which drops it.
    draft: Option<Draft>,
    pending: Vec<Bytes>,
    pending_bytes: usize,
}

#[derive(Debug)]
struct Draft {
    file: NamedTempFile,
    hash: Sha256,
    size: u64,
}

impl Incoming {
    pub(super) async fn start(blobs: Blobs) -> Result<Self, MediaError> {
        let folder = blobs.incoming_folder();
        let file = blobs
            .blocking(move || {
                if !folder.exists() {
                    fs::create_dir_all(&folder)?;
                }
                Ok(NamedTempFile::new_in(&folder)?)
            })
            .await?;
        let draft = Draft {
            file,
            hash: Sha256::new(),
            size: 0,
        };
        Ok(Self {
            blobs,
            draft: Some(draft),
            pending: Vec::new(),
            pending_bytes: 0,
        })
    }

    /// Adds what comes next.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), MediaError> {
        self.pending_bytes += piece.len();
        self.pending.push(piece);
        if self.pending_bytes < WRITE_BYTES {
            return Ok(());
        }
        let (pieces, mut draft) = self.take()?;
        let write = move || {
            draft.write(&pieces)?;
            Ok(draft)
        };
        self.draft = Some(self.blobs.blocking(write).await?);
        Ok(())
    }

    /// The end: the file is on the disk under its name when this returns.
    pub async fn finish(mut self) -> Result<Stored, MediaError> {
        let (pieces, mut draft) = self.take()?;
        let blobs = self.blobs.clone();
        let finish = move || {
            draft.write(&pieces)?;
            let stored = Stored {
                hash: BlobHash(draft.hash.clone().finalize().into()),
                size: draft.size,
            };
            let path = blobs.path_of(stored.hash);
            // The same content has the same length; another one is of a disk that lost something, and is replaced.
            if fs::metadata(&path).is_ok_and(|there| there.len() == stored.size) {
                return Ok(stored);
            }
            draft.keep(&blobs.folder, &path)?;
            Ok(stored)
        };
        let stored = self.blobs.blocking(finish).await?;
        counter!(RECEIVED_BYTES_TOTAL).increment(stored.size);
        Ok(stored)
    }

    fn take(&mut self) -> Result<(Vec<Bytes>, Draft), MediaError> {
        self.pending_bytes = 0;
        let draft = self.draft.take();
        let lost = || io::Error::other("an earlier write failed");
        Ok((std::mem::take(&mut self.pending), draft.ok_or_else(lost)?))
    }
}

impl Draft {
    fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        for piece in pieces {
            self.hash.update(piece);
            io::Write::write_all(self.file.as_file_mut(), piece)?;
            self.size += piece.len() as u64;
        }
        Ok(())
    }

    /// Makes it last: the content first, then the name, then the folders that lead to it.
    fn keep(self, root: &Path, path: &Path) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder)?;
        self.file.persist(path).map_err(|error| error.error)?;
        for folder in folder.ancestors() {
            fs::File::open(folder)?.sync_all()?;
            if folder == root {
                break;
            }
        }
        Ok(())
    }
}

impl Blobs {
    /// Removes temporary files that a process left behind when it was killed. How many there were comes back.
    pub async fn remove_abandoned(&self) -> Result<usize, MediaError> {
        let folder = self.incoming_folder();
        self.blocking(move || {
            let entries = match fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
                Err(error) => return Err(error.into()),
            };
            let mut removed = 0;
            for entry in entries.take(ABANDONED_LOOKED_AT_MAX) {
                let entry = entry?;
                let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
                if age > ABANDONED_AGE {
                    fs::remove_file(entry.path())?;
                    removed += 1;
                }
            }
            Ok(removed)
        })
        .await
    }
}

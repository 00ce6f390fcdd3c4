use std::{fs::File, path::Path, time::Duration};

use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;

fn store() -> (TempDir, Blobs) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let blobs = Blobs::new(folder.path().join("media"), Handle::current());
    (folder, blobs)
}

/// Every file under a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

async fn read(blobs: &Blobs, hash: BlobHash, range: Range<u64>) -> Vec<u8> {
    let file = blobs.open(hash).await.expect("readable").expect("there");
    let pieces: Vec<Bytes> = blobs.pieces(file, range).try_collect().await.expect("readable");
    pieces.concat()
}

#[tokio::test]
async fn what_comes_in_pieces_comes_out_and_is_stored_once() {
    let (folder, blobs) = store();
    let content: Vec<u8> = (0..1_000_003_u32).map(|i| i.to_le_bytes()[i as usize % 3]).collect();
    let mut stored = Vec::new();
    for piece_bytes in [7_001, 400_000] {
        let mut incoming = blobs.receive().await.expect("writable");
        for piece in content.chunks(piece_bytes) {
            incoming.write(Bytes::copy_from_slice(piece)).await.expect("writable");
        }
        stored.push(incoming.finish().await.expect("writable"));
    }
    assert_eq!(stored[0], stored[1]);
    let Stored { hash, size } = stored[0];
    assert_eq!(size, content.len() as u64);
    assert_eq!(hash.0, <[u8; 32]>::from(Sha256::digest(&content)));
    assert_eq!(files(folder.path()), [blobs.path_of(hash)]);
    assert_eq!(read(&blobs, hash, 0..size).await, content);
    assert_eq!(read(&blobs, hash, 5..300_000).await, content[5..300_000]);
    assert!(read(&blobs, hash, 9..9).await.is_empty());
    let file = blobs.open(hash).await.expect("readable").expect("there");
    let short: Result<Vec<Bytes>, _> = blobs.pieces(file, 0..size + 1).try_collect().await;
    assert!(short.is_err(), "a file that is too short is not passed off as whole");
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let (folder, blobs) = store();
    let mut incoming = blobs.receive().await.expect("writable");
    incoming.write(Bytes::from(vec![1; 300_000])).await.expect("writable");
    assert_eq!(files(folder.path()).len(), 1);
    drop(incoming);
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn only_old_temporary_files_are_removed() {
    let (folder, blobs) = store();
    assert_eq!(blobs.remove_abandoned().await.expect("nothing to do"), 0);
    let running = blobs.receive().await.expect("writable");
    let old = blobs.incoming_folder().join("old");
    let file = File::create(&old).expect("writable");
    let long_ago = file.metadata().expect("there").modified().expect("known") - Duration::from_secs(48 * 3600);
    file.set_modified(long_ago).expect("possible");
    assert_eq!(blobs.remove_abandoned().await.expect("removable"), 1);
    assert!(!old.exists());
    assert_eq!(files(folder.path()).len(), 1);
    drop(running);
}

#[tokio::test]
async fn hostile_17_a_path_is_made_of_a_hash_only() {
    let (folder, blobs) = store();
    let stored = blobs
        .insert(Bytes::from_static(b"../../etc/passwd"))
        .await
        .expect("writable");
    let path = blobs.path_of(stored.hash);
    let inside = path.strip_prefix(folder.path().join("media")).expect("in the folder");
    let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    assert_eq!(parts.concat(), stored.hash.to_string());
    assert_eq!(parts.iter().map(String::len).collect::<Vec<_>>(), [2, 2, 60]);
    assert!(BlobHash::from_slice(b"..").is_none());
}

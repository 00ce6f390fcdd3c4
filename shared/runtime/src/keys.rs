//! The server's signing key: a file that is made at the first start and then kept for ever.

use std::{
    io,
    path::{Path, PathBuf},
};

use plexus_core::event::{KeyError, SigningKey};

use crate::private_file::create_once;

/// A key file is one short line; more is another file.
const KEY_FILE_MAX_BYTES: u64 = 1024;

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("signing key {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("signing key {}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// There is a key already, and signatures made with it would be lost.
    #[error("signing key {}: the file exists; a server that loses its key loses its identity, so it is left alone", .0.display())]
    Exists(PathBuf),
    /// Several processes need the same key, so none of them may make one.
    #[error("signing key {}: no such file; make one with `plexus generate-signing-key` and give every master the same", .0.display())]
    Missing(PathBuf),
}

/// Reads the key; `None` when there is no file.
pub fn read(path: &Path) -> Result<Option<SigningKey>, KeyFileError> {
    let failed = |source| KeyFileError::File {
        path: path.to_owned(),
        source,
    };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > KEY_FILE_MAX_BYTES => {
            return Err(failed(io::Error::other(format!(
                "longer than {KEY_FILE_MAX_BYTES} bytes"
            ))));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let key = SigningKey::parse(text.trim()).map_err(|source| KeyFileError::Content {
        path: path.to_owned(),
        source,
    })?;
    Ok(Some(key))
}

/// Reads the key, or makes it: what one process does at its first start.
pub fn read_or_generate(path: &Path) -> Result<SigningKey, KeyFileError> {
    if let Some(key) = read(path)? {
        return Ok(key);
    }
    let key = new_key();
    write(path, &key)?;
    // Another process may have been faster: what counts is in the file.
    read(path)?.ok_or_else(|| KeyFileError::Missing(path.to_owned()))
}

/// Makes a key where there is none.
pub fn generate(path: &Path) -> Result<SigningKey, KeyFileError> {
    let key = new_key();
    if write(path, &key)? {
        Ok(key)
    } else {
        Err(KeyFileError::Exists(path.to_owned()))
    }
}

/// The file of the key that comes next, while it is not in use yet.
fn next_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".next");
    PathBuf::from(name)
}

/// The key that comes next: the one an earlier attempt has made, or a new one. It is in a file before anybody is told of it.
pub(crate) fn next(path: &Path) -> Result<SigningKey, KeyFileError> {
    read_or_generate(&next_path(path))
}

/// Puts the next key in the place of the current one, which is kept beside it.
pub(crate) fn install_next(path: &Path) -> Result<(), KeyFileError> {
    let failed = |source| KeyFileError::File {
        path: path.to_owned(),
        source,
    };
    if let Some(current) = read(path)? {
        let mut kept = path.as_os_str().to_owned();
        kept.push(format!(".{}", current.version()));
        create_once(Path::new(&kept), &format!("{}\n", current.to_line())).map_err(failed)?;
    }
    std::fs::rename(next_path(path), path).map_err(failed)?;
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = std::fs::File::open(folder.unwrap_or(Path::new(".")));
    folder.and_then(|folder| folder.sync_all()).map_err(failed)
}

fn write(path: &Path, key: &SigningKey) -> Result<bool, KeyFileError> {
    create_once(path, &format!("{}\n", key.to_line())).map_err(|source| KeyFileError::File {
        path: path.to_owned(),
        source,
    })
}

/// A new key as it stands in a file, for whoever keeps it himself.
pub fn new_line() -> String {
    new_key().to_line()
}

fn new_key() -> SigningKey {
    let seed: [u8; 32] = rand::random();
    // Told apart from an older key of the same server by its version.
    let version = format!("a_{:08x}", rand::random::<u32>());
    SigningKey::from_seed(&version, &seed).expect("letters, digits and an underscore are a version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("signing.key");
        assert!(read(&path).expect("no error").is_none());
        let made = read_or_generate(&path).expect("made");
        let read_again = read_or_generate(&path).expect("read");
        assert_eq!(made.to_line(), read_again.to_line());
        assert!(matches!(generate(&path), Err(KeyFileError::Exists(_))));
    }

    #[test]
    fn another_file_is_refused_and_not_overwritten() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("signing.key");
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\n").expect("written");
        let error = read_or_generate(&path).expect_err("no key").to_string();
        assert!(error.contains("signing.key") && !error.contains('\n'), "{error}");
        assert!(
            std::fs::read_to_string(&path)
                .expect("readable")
                .starts_with("-----BEGIN")
        );
    }
}

//! Values that never appear in a log or in an error.

use std::{fmt, io, path::Path};

use serde::{Deserialize, Serialize};

/// Most bytes a secret file may have: it holds one line.
const SECRET_FILE_MAX_BYTES: u64 = 4096;

/// A shared secret. Empty: not set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret read from the environment.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Reads the one line of a secret's file.
    pub fn from_file(path: &Path) -> io::Result<Self> {
        if std::fs::metadata(path)?.len() > SECRET_FILE_MAX_BYTES {
            return Err(io::Error::other(format!("longer than {SECRET_FILE_MAX_BYTES} bytes")));
        }
        let text = std::fs::read_to_string(path)?;
        let line = text.trim_end_matches(['\r', '\n']);
        if line.is_empty() || line.contains('\n') {
            return Err(io::Error::other("a secret file holds one line"));
        }
        Ok(Self(line.to_owned()))
    }

    /// The secret itself, for the few places that compare it or send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "(none)" } else { "(secret)" })
    }
}

/// The address of a database or of Redis, which may hold a password. Empty: not set.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// The whole address, for the one place that connects.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for SecretUrl {
    /// Everything but user, password and parameters (PostgreSQL takes a password there too).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return f.write_str("(not a URL)");
        };
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let host = host.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{host}")
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            f.write_str("(none)")
        } else {
            write!(f, "{self}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_what_is_secret() {
        let url = SecretUrl("postgres://plexus:hunter2@db:5432/plexus?password=hunter3".to_owned());
        assert_eq!(format!("{url:?}"), "postgres://db:5432/plexus");
        assert_eq!(
            format!("{:?}", SecretUrl("host=db password=hunter2".to_owned())),
            "(not a URL)"
        );
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "(secret)");
    }

    #[test]
    fn a_secret_file_holds_one_line() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, "abc\n").expect("written");
        assert_eq!(Secret::from_file(&path).expect("one line").reveal(), "abc");
        for text in ["", "\n", "a\nb\n"] {
            std::fs::write(&path, text).expect("written");
            assert!(Secret::from_file(&path).is_err(), "{text:?}");
        }
    }
}

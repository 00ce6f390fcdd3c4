//! Files that only their owner reads: the signing key and the secrets made at the first start.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Read and write for the owner, nothing for others.
const MODE: u32 = 0o600;

/// All for the owner, nothing for others.
const FOLDER_MODE: u32 = 0o700;

/// Makes a folder only its owner can enter, unless there is one: the database in it holds what users say to each other.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// Makes the file with this content unless there is one; says whether it did.
///
/// The file appears whole or not at all, also when two processes start at once or the power goes: it is written under a name of its own and then
/// linked, which fails if the name is taken.
pub(crate) fn create_once(path: &Path, content: &str) -> io::Result<bool> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    create_private_folder(folder)?;
    let temporary = temporary_name(path);
    let written = write_private(&temporary, content);
    let linked = written.and_then(|()| std::fs::hard_link(&temporary, path));
    let removed = std::fs::remove_file(&temporary);
    match linked {
        Ok(()) => {
            removed?;
            File::open(folder)?.sync_all()?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.{:016x}", std::process::id(), rand::random::<u64>()));
    PathBuf::from(name)
}

fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_one_stays_and_nobody_else_can_read_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("new").join("secret");
        assert!(create_once(&path, "first").expect("made"));
        assert!(!create_once(&path, "second").expect("left alone"));
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "first");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), MODE);
        assert_eq!(mode(path.parent().expect("a folder")), FOLDER_MODE);
        let left = std::fs::read_dir(path.parent().expect("a folder"))
            .expect("readable")
            .count();
        assert_eq!(left, 1, "temporary files are left");
    }
}

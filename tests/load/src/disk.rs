//! How many bytes a server's folders take up, so that a send's cost on disk can be told.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Folders nested deeper than this are not entered.
const MAX_DEPTH: usize = 8;

/// The bytes allocated to all files under `folders`; a file that vanishes meanwhile counts as nothing.
pub(crate) fn allocated_bytes(folders: &[String]) -> u64 {
    folders.iter().map(|folder| folder_bytes(Path::new(folder), 0)).sum()
}

fn folder_bytes(folder: &Path, depth: usize) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let entry_bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() && depth < MAX_DEPTH => folder_bytes(&entry.path(), depth + 1),
        Ok(found) if found.is_file() => found.blocks() * 512,
        _ => 0,
    };
    entries.flatten().map(entry_bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_this_package_take_up_space() {
        let here = env!("CARGO_MANIFEST_DIR").to_owned();
        let inner = format!("{here}/src");
        assert!(allocated_bytes(std::slice::from_ref(&inner)) > 4096);
        assert!(allocated_bytes(&[here]) > allocated_bytes(&[inner]));
    }
}

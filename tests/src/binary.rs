//! The program under test.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder in the repository")
}

/// The built `plexus`: `PLEXUS_BIN` if that is set, or else the one of this build, brought up to date once.
pub fn plexus() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| match env::var_os("PLEXUS_BIN") {
        Some(path) => PathBuf::from(path),
        None => build(),
    })
}

/// Runs `plexus` with some arguments in a folder, until it ends.
pub fn run_plexus(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(plexus())
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("plexus can be started")
}

/// `cargo test` builds the binaries of this package only, so the binary of another one is built here.
fn build() -> PathBuf {
    let test = env::current_exe().expect("a test knows where it is");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("tests are in target/<profile>/deps");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The whole workspace, because the features of its dependencies then are those of `cargo test --workspace`, and nothing is built twice.
    cargo
        .args(["build", "--quiet", "--workspace", "--bin", "plexus"])
        .current_dir(repository());
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "plexus does not build");
    folder.join("plexus")
}

//! A private PostgreSQL server in a temporary folder.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// Starts the server, and stops it when standard input closes: whichever way the tests end, nothing is left behind.
const KEEPER: &str = r#"
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=400 -c shared_buffers=32MB \
    -c log_min_messages=warning -c "fsync=$3" -c "synchronous_commit=$3" -c "full_page_writes=$3" >>"$2/log" 2>&1 &
server=$!
echo "$server"
while read -r _; do :; done
kill -INT "$server" 2>/dev/null
wait "$server"
rm -rf "$2"
"#;

/// How a [`Cluster`] differs from the usual one.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterOptions {
    /// Whether an acknowledged commit survives the machine. Tests that do not ask about that are much quicker without.
    pub durable: bool,
}

/// A PostgreSQL server of one's own, stopped and removed when it is dropped or the process ends.
#[derive(Debug)]
pub struct Cluster {
    keeper: Child,
    /// Process id of the server itself.
    server: u32,
    folder: TempDir,
}

impl Cluster {
    /// Starts a server on a Unix socket. Panics, saying what is missing, if that cannot be done.
    pub fn start(options: ClusterOptions) -> Self {
        let programs = find_programs();
        let folder = tempfile::Builder::new()
            .prefix("plexus-pg-")
            .tempdir()
            .expect("a temporary folder can be made");
        let user = unprivileged_user(folder.path());
        init(&programs, folder.path(), user);
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", KEEPER, "keeper"])
            .arg(&programs)
            .arg(folder.path())
            .arg(if options.durable { "on" } else { "off" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut keeper = run_as(&mut command, user).spawn().expect("/bin/sh can be started");
        let mut line = String::new();
        let stdout = keeper.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the keeper tells the server's process id");
        let server = line.trim().parse().expect("the keeper tells a number");
        Self { keeper, server, folder }
    }

    /// The address of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres:///{database}?host={}&user=plexus",
            self.folder.path().display()
        )
    }

    /// Process id of the server.
    pub fn pid(&self) -> u32 {
        self.server
    }

    /// Where its files are: `data`, `log` and its socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Nothing can be done about a keeper that cannot be waited for; its folder goes with the next line all the same.
        let _ended = self.keeper.wait();
    }
}

fn find_programs() -> PathBuf {
    let mut candidates: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    candidates.sort();
    candidates.reverse();
    candidates.extend(["/usr/local/bin", "/usr/local/pgsql/bin", "/opt/homebrew/bin"].map(PathBuf::from));
    let path = env::var_os("PATH").unwrap_or_default();
    candidates.extend(env::split_paths(&path));
    let has_both = |folder: &PathBuf| folder.join("initdb").exists() && folder.join("postgres").exists();
    candidates.into_iter().find(has_both).expect(
        "PostgreSQL is not installed: the tests start a server of their own and found neither initdb nor postgres. Run tests/setup, or apt-get install postgresql",
    )
}

/// A user that is not root, for whom PostgreSQL does not refuse to start; the folder is given to him.
fn unprivileged_user(folder: &Path) -> Option<(u32, u32)> {
    let owner = fs::metadata(folder).expect("the folder was just made").uid();
    if owner != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd can be read");
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2);
        Some((ids.next()?.parse().ok()?, ids.next()?.parse().ok()?))
    };
    let (user, group) = find("postgres")
        .or_else(|| find("nobody"))
        .expect("root cannot run PostgreSQL, and there is neither a user postgres nor nobody");
    std::os::unix::fs::chown(folder, Some(user), Some(group)).expect("root may give a folder away");
    Some((user, group))
}

fn run_as(command: &mut Command, user: Option<(u32, u32)>) -> &mut Command {
    if let Some((user, group)) = user {
        command.uid(user).gid(group).current_dir("/");
    }
    command
}

fn init(programs: &Path, folder: &Path, user: Option<(u32, u32)>) {
    let mut command = Command::new(programs.join("initdb"));
    command
        .args([
            "--username=plexus",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
        ])
        .arg(folder.join("data"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = run_as(&mut command, user).spawn().expect("initdb can be started");
    let mut errors = String::new();
    if let Some(stderr) = child.stderr.as_mut() {
        stderr.read_to_string(&mut errors).expect("initdb speaks UTF-8");
    }
    let status = child.wait().expect("initdb can be waited for");
    assert!(status.success(), "initdb failed: {errors}");
}

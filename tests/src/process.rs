//! One process: started, killed, paused, resumed, started again.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{eventually, watchdog::Watchdog};

/// How much of a log is printed when a test fails.
const TAIL_LINES: usize = 40;
/// How long a process may take to end in good order.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// How a process is started, every time in the same way.
#[derive(Clone, Debug)]
pub struct Program {
    /// What the tests call it.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables on top of the tests' own.
    pub environment: Vec<(String, String)>,
    /// Where it runs, and where its log goes: `<name>.log`.
    pub folder: PathBuf,
}

/// A process of a cluster. What it prints goes to a file, over restarts.
#[derive(Debug)]
pub struct Process {
    program: Program,
    log: PathBuf,
    watchdog: Arc<Watchdog>,
    child: Mutex<Option<Child>>,
}

impl Process {
    pub(crate) fn start(program: Program, watchdog: Arc<Watchdog>) -> Self {
        let process = Self {
            log: program.folder.join(format!("{}.log", program.name)),
            program,
            watchdog,
            child: Mutex::new(None),
        };
        process.start_again();
        process
    }

    /// What the tests call it.
    pub fn name(&self) -> &str {
        &self.program.name
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.lock().as_ref().map(Child::id)
    }

    /// The memory it occupies, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory it has occupied so far, in bytes.
    pub fn peak_memory_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, which: &str) -> u64 {
        let pid = self
            .pid()
            .unwrap_or_else(|| panic!("{} is not running", self.program.name));
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux tells about processes");
        let line = status
            .lines()
            .find(|line| line.starts_with(which))
            .expect("a process has memory");
        let kilobytes: u64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("a number");
        kilobytes * 1024
    }

    /// Starts it once more; it must not be running.
    pub fn start_again(&self) {
        let mut child = self.lock();
        assert!(child.is_none(), "{} is running", self.program.name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("its log can be opened");
        let started = Command::new(&self.program.path)
            .args(&self.program.arguments)
            .envs(self.program.environment.iter().cloned())
            .current_dir(&self.program.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file has a second handle"))
            .stderr(log)
            .spawn();
        let started = started.unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.path.display()));
        self.watchdog.started(started.id());
        *child = Some(started);
    }

    /// Ends it as a crash would: SIGKILL.
    pub fn kill(&self) {
        let mut child = self.lock();
        if let Some(running) = child.as_mut() {
            running.kill().expect("a child can be killed");
            self.watchdog.ended(running.id());
            running.wait().expect("a child can be waited for");
        }
        *child = None;
    }

    /// Asks it to end in good order (SIGTERM) and waits until it has.
    pub async fn stop(&self) -> ExitStatus {
        self.signal("TERM");
        eventually(END_PATIENCE, &format!("{} to end", self.name()), async || {
            self.exited().ok_or_else(|| "it runs".to_owned())
        })
        .await
    }

    /// Stops it where it is: SIGSTOP.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on after [`Process::pause`].
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Tells it to read its certificate again: SIGHUP.
    pub fn hang_up(&self) {
        self.signal("HUP");
    }

    /// How it ended, if it has ended by itself.
    pub fn exited(&self) -> Option<ExitStatus> {
        let mut child = self.lock();
        let running = child.as_mut()?;
        let status = running.try_wait().expect("a child can be waited for")?;
        self.watchdog.ended(running.id());
        *child = None;
        Some(status)
    }

    /// All it has printed.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of what it has printed.
    pub(crate) fn tail(&self) -> String {
        tail(&self.log)
    }

    fn signal(&self, signal: &str) {
        let child = self.lock();
        let running = child
            .as_ref()
            .unwrap_or_else(|| panic!("{} is not running", self.program.name));
        let status = Command::new("/bin/kill")
            .args([format!("-{signal}"), running.id().to_string()])
            .status()
            .expect("/bin/kill can be started");
        assert!(status.success(), "cannot send SIG{signal} to {}", self.program.name);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of a file.
pub(crate) fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

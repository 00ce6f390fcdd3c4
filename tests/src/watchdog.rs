//! Leaves nothing behind, whichever way the tests end.

use std::{
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

/// Keeps a list of processes; when standard input ends, because the tests have, it ends them and removes their folder.
const SCRIPT: &str = r#"
pids=" "
while read -r change pid; do
    case $change in
    +) pids="$pids$pid " ;;
    -) rest=" "
       for other in $pids; do [ "$other" = "$pid" ] || rest="$rest$other "; done
       pids=$rest ;;
    esac
done
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
until rm -rf "$1" 2>/dev/null; do sleep 0.1; done
"#;

/// Ends what is registered with it when the test process ends, even by a signal.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Mutex<Child>,
}

impl Watchdog {
    /// Watches over the processes of one cluster and their folder.
    pub(crate) fn start(folder: &Path) -> Self {
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(folder)
            .stdin(Stdio::piped())
            .spawn()
            .expect("/bin/sh can be started");
        Self {
            shell: Mutex::new(shell),
        }
    }

    pub(crate) fn started(&self, pid: u32) {
        self.tell('+', pid);
    }

    /// To be called before its number can be given to another process.
    pub(crate) fn ended(&self, pid: u32) {
        self.tell('-', pid);
    }

    fn tell(&self, change: char, pid: u32) {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        let input = shell.stdin.as_mut().expect("it is piped");
        writeln!(input, "{change} {pid}").expect("the watchdog listens");
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let shell = self.shell.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(shell.stdin.take());
        shell.wait().expect("the watchdog can be waited for");
    }
}

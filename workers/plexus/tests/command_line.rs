//! The binary as its operator meets it: what it says when something is wrong, and that it starts, stops and makes accounts.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a process may take to say that it listens, or to end.
const DEADLINE: Duration = Duration::from_secs(30);

/// A command of the binary in a folder of its own, with nothing of our environment.
fn plexus(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plexus"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    plexus(folder, arguments).output().expect("the binary starts")
}

/// What a command that must fail says: one line for each thing that is wrong, and exit code 1.
fn refusal(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
    let said = text.lines().filter(|line| line.starts_with("plexus: ")).count();
    assert_eq!(said, 1, "{arguments:?} is refused once: {text}");
    let at = text.find("plexus: ").expect("said");
    text[at..].trim_end().to_owned()
}

/// A running server on a port of its own.
struct Server {
    child: Child,
    address: String,
    // Read to its end, or a full pipe would stop the server.
    log: BufReader<std::process::ChildStderr>,
}

impl Server {
    fn start(folder: &Path, more: &[&str]) -> Self {
        let arguments = [&["serve", "--set", "listen.address=127.0.0.1:0"], more].concat();
        let mut child = plexus(folder, &arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).expect("text"), 0, "the server ended: {said}");
            said.push_str(&line);
            if let Some((_, rest)) = line.split_once("is served on http://") {
                break rest.split_ascii_whitespace().next().expect("an address").to_owned();
            }
        };
        Self { child, address, log }
    }

    /// Asks for a page and returns status line, headers and body.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("an answer");
        response
    }

    /// Sends SIGTERM; returns what the log says from now on once the process has ended in order.
    fn stop(mut self) -> String {
        let told = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .expect("kill runs");
        assert!(told.success());
        let asked = Instant::now();
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).expect("text");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}: {rest}");
        assert!(asked.elapsed() < DEADLINE, "stopping took {:?}", asked.elapsed());
        rest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing to do for one that has ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("temporary folder")
}

/// Runs `register-user` with a password on standard input.
fn register(folder: &Path, arguments: &[&str]) -> Output {
    let arguments = [&["register-user"], arguments].concat();
    let mut command = plexus(folder, &arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(b"correct horse\n")
        .expect("written");
    child.wait_with_output().expect("it ends")
}

fn said(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    let _infallible = write!(text, "{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn without_configuration_it_serves_localhost_and_stops_in_order() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    assert!(server.address.starts_with("127.0.0.1:"), "{}", server.address);
    assert!(server.get("/_matrix/client/versions").starts_with("HTTP/1.1 200"));
    assert!(server.get("/health").starts_with("HTTP/1.1 200"));
    let rest = server.stop();
    assert!(rest.contains("plexus register-user --admin NAME"), "{rest}");
    assert!(
        rest.contains("stopped") && !rest.contains("WARN") && !rest.contains("ERROR"),
        "{rest}"
    );
    for file in ["plexus.db", "signing.key", "registration.secret"] {
        assert!(folder.path().join("plexus-data").join(file).exists(), "{file}");
    }
}

#[test]
fn accounts_are_made_while_the_server_runs_and_while_it_does_not() {
    let folder = folder();
    let made = register(folder.path(), &["alice", "--admin"]);
    assert!(
        said(&made).contains("@alice:localhost is an administrator"),
        "{}",
        said(&made)
    );

    let server = Server::start(folder.path(), &[]);
    let made = register(folder.path(), &["bob"]);
    assert!(said(&made).contains("@bob:localhost has an account"), "{}", said(&made));
    let refused = register(folder.path(), &["alice"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("plexus: there is no new account for alice: "),
        "{}",
        said(&refused)
    );
    server.stop();

    let refused = register(folder.path(), &["bob"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let error = refusal(folder.path(), &["serve", "--set", "listen.address=127.0.0.1:0"]);
    assert!(error.contains("plexus.db is in use by another process"), "{error}");
    server.stop();
}

#[test]
fn a_port_in_use_is_said_before_anything_is_made() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let error = refusal(folder.path(), &["serve", "--set", &format!("listen.address={address}")]);
    assert!(
        error.contains(&format!("listen.address: cannot listen on {address}")),
        "{error}"
    );
    assert!(!folder.path().join("plexus-data").exists());
}

#[test]
fn the_data_of_another_server_is_refused() {
    let folder = folder();
    Server::start(folder.path(), &[]).stop();
    let arguments = [
        "serve",
        "--set",
        "listen.address=127.0.0.1:0",
        "--set",
        "server_name=other.example",
    ];
    let error = refusal(folder.path(), &arguments);
    assert!(
        error.contains("the database belongs to localhost, and server_name is other.example"),
        "{error}"
    );
}

#[test]
fn another_or_a_damaged_signing_key_is_refused() {
    let folder = folder();
    Server::start(folder.path(), &[]).stop();
    let key = folder.path().join("plexus-data").join("signing.key");
    fs::write(&key, "no key\n").expect("written");
    let serve = ["serve", "--set", "listen.address=127.0.0.1:0"];
    let error = refusal(folder.path(), &serve);
    assert!(error.contains("signing.key: a signing key is written"), "{error}");

    fs::remove_file(&key).expect("removed");
    let error = refusal(folder.path(), &serve);
    assert!(
        error.contains("the database's events are signed with ed25519:"),
        "{error}"
    );
}

#[test]
fn a_wrong_configuration_is_refused_with_the_key_and_its_place() {
    let folder = folder();
    fs::write(
        folder.path().join("plexus.toml"),
        "[listen]\nadress = \"127.0.0.1:1\"\n",
    )
    .expect("written");
    let error = refusal(folder.path(), &["config", "check", "--config", "plexus.toml"]);
    assert!(
        error.contains("plexus.toml line 2: unknown key \"listen.adress\"; did you mean \"listen.address\"?"),
        "{error}"
    );
    fs::write(
        folder.path().join("plexus.toml"),
        "[lease]\n\nttl_ms = 5\n[log]\nlevel = \"plexus=loud\"\n",
    )
    .expect("written");
    let said = refusal(folder.path(), &["config", "check", "--config", "plexus.toml"]);
    let lines: Vec<&str> = said.lines().collect();
    let expected = [
        "plexus: 2 things are wrong with the configuration:",
        "plexus.toml line 3: lease.ttl_ms is 5, but it has to be between 1000 and 60000",
        "plexus.toml line 5: log.level is \"plexus=loud\"",
    ];
    assert_eq!(lines.len(), expected.len(), "{said}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line} is not {expected}");
    }
    let error = refusal(folder.path(), &["serve", "--set", "listen.address=0.0.0.0:0"]);
    assert!(
        error.contains("registration.allow_open_without_verification = true"),
        "{error}"
    );
    let error = refusal(folder.path(), &["serve", "--role", "sync"]);
    assert!(error.contains("database.url"), "{error}");
}

#[test]
fn the_printed_example_is_a_right_configuration() {
    let folder = folder();
    let example = run(folder.path(), &["config", "example"]);
    fs::write(folder.path().join("plexus.toml"), example.stdout).expect("written");
    let checked = run(folder.path(), &["config", "check", "--config", "plexus.toml"]);
    assert!(checked.status.success(), "{}", said(&checked));
}

#[test]
fn routes_and_errors_are_printed() {
    let folder = folder();
    for (format, expected) in [
        ("table", "/_matrix/client/versions"),
        ("nginx", "map "),
        ("json", "\"family\""),
    ] {
        let output = run(folder.path(), &["routes", "--format", format]);
        assert!(
            output.status.success() && said(&output).contains(expected),
            "{format}: {}",
            said(&output)
        );
    }
    assert!(said(&run(folder.path(), &["errors"])).contains("M_UNKNOWN_TOKEN"));
}

#[test]
fn seed_5361_a_signing_key_is_made_once_and_loads() {
    let folder = folder();
    let said = said(&run(folder.path(), &["generate-signing-key"]));
    let (id, path) = said.trim().split_once(" written to ").expect("the id and the file");
    let line = fs::read_to_string(folder.path().join(path)).expect("the file is there");
    let words: Vec<_> = line.split_whitespace().collect();
    assert!(id.starts_with("ed25519:a_"), "{id}");
    assert_eq!(
        (words.len(), words[0], format!("ed25519:{}", words[1])),
        (3, "ed25519", id.to_owned())
    );
    let key = plexus_runtime::keys::read(&folder.path().join(path)).expect("it loads");
    assert_eq!(key.expect("it is there").key_id(), id);
    let error = refusal(folder.path(), &["generate-signing-key"]);
    assert!(error.contains("the file exists"), "{error}");
    let unchanged = fs::read_to_string(folder.path().join(path)).expect("the file is there");
    assert_eq!(unchanged, line);
}

#[test]
fn seed_5361_a_signing_key_is_printed_or_written_where_it_is_asked_for() {
    let folder = folder();
    let printed = run(folder.path(), &["generate-signing-key", "--output", "-"]);
    assert!(
        printed.status.success() && said(&printed).starts_with("ed25519 a_"),
        "{printed:?}"
    );
    assert!(said(&run(folder.path(), &["generate-signing-key", "-o", "other.key"])).contains("other.key"));
    let path = folder.path().join("printed.key");
    fs::write(&path, &printed.stdout).expect("written");
    for path in [path, folder.path().join("other.key")] {
        let key = plexus_runtime::keys::read(&path).expect("it loads");
        assert!(
            key.is_some_and(|key| key.key_id().starts_with("ed25519:a_")),
            "{}",
            path.display()
        );
    }
    assert!(!folder.path().join("plexus-data").exists(), "nothing else was made");
}

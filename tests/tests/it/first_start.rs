//! What an operator meets first: the README's first command, and what a wrong configuration says.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use plexus_tests::{Http, PATIENCE, Solo, User, eventually, free_port, repository, run, run_plexus};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn error_of(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it should have failed: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// The words of the README's first block of commands.
#[test]
fn the_readme_begins_with_two_commands() {
    let readme = fs::read_to_string(repository().join("README.md")).expect("there is a README");
    for command in ["cargo run --release", "./tests/run"] {
        assert!(readme.contains(command), "README.md lacks {command:?}");
    }
}

#[test]
fn without_a_configuration_it_listens_on_loopback_and_keeps_its_data_here() {
    let here = folder();
    // The port of the default configuration may be taken on a machine that runs tests.
    let port = free_port();
    let address = format!("listen.address=127.0.0.1:{port}");
    run(async {
        let server = Solo::start(here.path(), &["serve", "--set", &address]);
        let http = Http::new(&format!("http://127.0.0.1:{port}"));
        server.until_answers(&http).await;
        let alice = User::register(&http, "alice").await;
        assert!(alice.id.ends_with(":localhost"), "{}", alice.id);
        let data = here.path().join("plexus-data");
        for file in ["plexus.db", "signing.key"] {
            assert!(data.join(file).exists(), "no {file} in ./plexus-data");
        }
        let log = server.process().output();
        assert!(log.contains("register-user") && log.contains("--admin"), "{log}");
        assert!(!log.contains("correct horse"), "{log}");
        // A second one on the same data is refused, whatever its port.
        let other = format!("listen.address=127.0.0.1:{}", free_port());
        let error = error_of(&run_plexus(here.path(), &["serve", "--set", &other]));
        assert!(error.contains("another process"), "{error}");
        assert!(server.process().stop().await.success(), "{}", server.process().output());
        // What was acknowledged is there after a restart.
        server.process().start_again();
        server.until_answers(&http).await;
        alice.http.get("/_matrix/client/v3/account/whoami").await.ok();
    });
}

#[test]
fn the_default_address_is_loopback() {
    let shown = run_plexus(folder().path(), &["config", "example"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    for line in ["127.0.0.1:8008", "localhost", "./plexus-data"] {
        assert!(text.contains(line), "no {line} in:\n{text}");
    }
    let kept = fs::read_to_string(repository().join("deploy/plexus.example.toml")).expect("the example is there");
    assert_eq!(
        kept, text,
        "deploy/plexus.example.toml is not what `plexus config example` prints"
    );
}

#[test]
fn open_registration_on_another_address_needs_a_switch() {
    let here = folder();
    let address = format!("listen.address=0.0.0.0:{}", free_port());
    let error = error_of(&run_plexus(here.path(), &["serve", "--set", &address]));
    assert!(error.contains("allow_open_without_verification"), "{error}");
    let check = ["config", "check", "--set", &address, "--set", "registration.open=false"];
    assert!(run_plexus(here.path(), &check).status.success());
    let check = [
        "config",
        "check",
        "--set",
        &address,
        "--set",
        "registration.allow_open_without_verification=true",
    ];
    assert!(run_plexus(here.path(), &check).status.success());
}

#[test]
fn a_port_in_use_is_named() {
    let here = folder();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let error = error_of(&run_plexus(
        here.path(),
        &["serve", "--set", &format!("listen.address={address}")],
    ));
    assert!(error.contains(&address) && error.contains("listen.address"), "{error}");
}

#[test]
fn a_wrong_configuration_says_where_and_what_is_allowed() {
    let here = folder();
    let check = |text: &str| {
        fs::write(here.path().join("plexus.toml"), text).expect("the folder can be written to");
        error_of(&run_plexus(
            here.path(),
            &["config", "check", "--config", "plexus.toml"],
        ))
    };
    let error = check("server_name = \"localhost\"\n\n[listen]\nadress = \"127.0.0.1:1\"\n");
    assert!(
        error.contains("listen.adress") && error.contains("line 4") && error.contains("address"),
        "{error}"
    );
    let error = check("[database]\npool_max = \"many\"\n");
    assert!(
        error.contains("database.pool_max") && error.contains("line 2"),
        "{error}"
    );
    let error = check("nonsense");
    assert!(error.contains("line 1"), "{error}");
    let error = error_of(&run_plexus(
        here.path(),
        &["config", "check", "--set", "listen.nonsense=1"],
    ));
    assert!(error.contains("listen.nonsense"), "{error}");
    let error = error_of(&run_plexus(here.path(), &["serve", "--config", "absent.toml"]));
    assert!(error.contains("absent.toml"), "{error}");
    let wrong = Command::new(plexus_tests::plexus())
        .args(["config", "check"])
        .env("PLEXUS_LISTEN__ADRESS", "127.0.0.1:1")
        .current_dir(here.path())
        .output()
        .expect("plexus can be started");
    let error = error_of(&wrong);
    assert!(error.contains("PLEXUS_LISTEN__ADRESS"), "{error}");
}

#[test]
fn a_database_of_a_newer_schema_is_refused() {
    let here = folder();
    let migrate = ["db", "migrate"];
    assert!(run_plexus(here.path(), &migrate).status.success());
    run(make_newer(&here.path().join("plexus-data/plexus.db")));
    for arguments in [&migrate[..], &["serve", "--set", "listen.address=127.0.0.1:0"]] {
        let error = error_of(&run_plexus(here.path(), arguments));
        assert!(error.contains("schema 99") && error.contains("upgrade"), "{error}");
    }
}

async fn make_newer(path: &Path) {
    use plexus_storage::db::{Database, DatabaseConfig, Statement};
    let db = Database::open(&DatabaseConfig::Sqlite { path: path.to_owned() })
        .await
        .expect("it is closed again");
    let sql = "-- test::newer\nINSERT INTO schema_version (version, runs_with, applied_ms) VALUES (99, 99, 0)";
    db.execute(Statement::new(sql, [])).await.expect("the table is there");
}

#[test]
fn the_first_administrator_is_made_on_the_command_line() {
    let here = folder();
    fs::write(here.path().join("password"), "correct horse battery staple\n").expect("the folder can be written to");
    let register = ["register-user", "root", "--admin", "--password-file", "password"];
    let made = run_plexus(here.path(), &register);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let again = error_of(&run_plexus(here.path(), &register));
    assert!(again.contains("taken"), "{again}");
    let port = free_port();
    run(async {
        let server = Solo::start(
            here.path(),
            &["serve", "--set", &format!("listen.address=127.0.0.1:{port}")],
        );
        let http = Http::new(&format!("http://127.0.0.1:{port}"));
        server.until_answers(&http).await;
        let login = serde_json::json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": "root"},
            "password": "correct horse battery staple",
        });
        http.post("/_matrix/client/v3/login", &login).await.ok();
        // And while it runs.
        let second = ["register-user", "second", "--password-file", "password"];
        let output = tokio::task::spawn_blocking({
            let here = here.path().to_owned();
            move || run_plexus(&here, &second)
        });
        let output = output.await.expect("it does not panic");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        eventually(PATIENCE, "the second account", async || {
            let login = serde_json::json!({
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": "second"},
                "password": "correct horse battery staple",
            });
            let answer = http.post("/_matrix/client/v3/login", &login).await;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(answer.text())
            }
        })
        .await;
    });
}

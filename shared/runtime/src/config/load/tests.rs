use std::path::Path;

use super::*;
use crate::config::Topology;

fn error_of(text: &str) -> String {
    parse("plexus.toml", text).expect_err(text).to_string()
}

fn with(set: &[&str], environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let sources = Sources {
        file: None,
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        set: set.iter().map(|assignment| (*assignment).to_owned()).collect(),
    };
    Config::load(&sources, Topology::One)
}

fn refused(set: &[&str], environment: &[(&str, &str)]) -> String {
    with(set, environment).expect_err("refused").to_string()
}

#[test]
fn nothing_at_all_is_the_default() {
    assert_eq!(with(&[], &[]).expect("valid"), Config::default());
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_one() {
    let error = error_of("server_name = \"a.example\"\n\n[registration]\nopne = true\n");
    assert_eq!(
        error,
        "plexus.toml line 4: unknown key \"registration.opne\"; did you mean \"registration.open\"? Allowed in [registration]: open, \
         allow_open_without_verification, shared_secret_file"
    );
    let error = error_of("[lisen]\naddress = \"127.0.0.1:1\"\n");
    assert!(
        error.starts_with("plexus.toml line 1: unknown key \"lisen\"; did you mean"),
        "{error}"
    );
    assert!(error.contains("sections: listen, internal, database"), "{error}");
}

#[test]
fn a_wrong_value_is_named_with_its_line_and_what_is_allowed() {
    let error = error_of("[database]\npool_max = \"many\"\n");
    assert!(
        error.starts_with("plexus.toml line 2: database.pool_max: invalid type: string \"many\""),
        "{error}"
    );
    assert!(
        error.ends_with("Allowed: The most connections one process keeps to PostgreSQL."),
        "{error}"
    );
    let error = error_of("[log]\nformat = \"yaml\"\n");
    assert!(
        error.starts_with("plexus.toml line 2: log.format: unknown variant `yaml`"),
        "{error}"
    );
    let error = error_of("server_name = \"not a name\"\n");
    assert!(error.starts_with("plexus.toml line 1: server_name: "), "{error}");
}

#[test]
fn broken_toml_is_named_with_its_line() {
    let error = error_of("server_name = \"a.example\"\nlisten = {\n");
    assert!(error.starts_with("plexus.toml line "), "{error}");
    assert!(!error.contains('\n'), "one line: {error}");
}

#[test]
fn a_secret_is_not_written_in_the_file() {
    let error = error_of("[internal]\nsecret = \"hunter2\"\n");
    assert!(error.contains("unknown key \"internal.secret\""), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let environment = [
        ("PLEXUS_LISTEN__ADDRESS", "127.0.0.1:1"),
        ("PLEXUS_SERVER_NAME", "a.example"),
        ("PLEXUS_DATABASE__POOL_MAX", "3"),
    ];
    let config = with(&["listen.address=127.0.0.1:2"], &environment).expect("valid");
    assert_eq!(config.listen.address.port(), 2);
    assert_eq!(config.server_name, "a.example");
    assert_eq!(config.database.pool_max, 3);
}

#[test]
fn overrides_are_checked_like_the_file() {
    assert!(refused(&["listen.port=1"], &[]).contains("did you mean"));
    assert!(refused(&["listen.address"], &[]).contains("expected section.key=value"));
    assert!(refused(&["registration.open=yes"], &[]).contains("\"yes\" is not true or false"));
    let error = refused(&[], &[("PLEXUS_LISTEN__ADRESS", "127.0.0.1:1")]);
    assert!(
        error.starts_with("environment variable PLEXUS_LISTEN__ADRESS: unknown key"),
        "{error}"
    );
    let error = refused(&[], &[("PLEXUS_LISTEN__ADDRESS", "localhost")]);
    assert!(error.starts_with("PLEXUS_LISTEN__ADDRESS: listen.address: "), "{error}");
}

#[test]
fn variables_that_kubernetes_makes_are_ignored() {
    assert_eq!(
        with(&[], &[("PLEXUS_PORT", "tcp://10.0.0.1:8008"), ("HOME", "/root")]).expect("valid"),
        Config::default()
    );
}

#[test]
fn secrets_come_from_the_environment_or_a_file() {
    let config = with(&[], &[("PLEXUS_INTERNAL__SECRET", "hunter2")]).expect("valid");
    assert_eq!(config.internal.secret.reveal(), "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));

    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("secret");
    std::fs::write(&path, "hunter3\n").expect("written");
    let set = format!("internal.secret_file={}", path.display());
    assert_eq!(with(&[&set], &[]).expect("valid").internal.secret.reveal(), "hunter3");

    let missing = format!(
        "registration.shared_secret_file={}",
        Path::new("/nonexistent/secret").display()
    );
    assert!(refused(&[&missing], &[]).starts_with("registration.shared_secret_file: cannot read /nonexistent/secret"));
}

#[test]
fn open_registration_beyond_loopback_needs_an_explicit_switch() {
    let error = refused(&["listen.address=0.0.0.0:8008"], &[]);
    assert!(
        error.contains("registration.allow_open_without_verification = true"),
        "{error}"
    );
    with(&["listen.address=0.0.0.0:8008", "registration.open=false"], &[]).expect("closed");
    with(
        &[
            "listen.address=[::]:8008",
            "registration.allow_open_without_verification=true",
        ],
        &[],
    )
    .expect("meant");
    with(&["listen.address=[::1]:8008"], &[]).expect("loopback");
}

#[test]
fn the_internal_plane_refuses_a_public_address_without_a_secret() {
    for key in ["internal.address", "internal.grpc_address"] {
        let set = format!("{key}=10.0.0.1:9008");
        assert!(refused(&[&set], &[]).contains("needs a secret"), "{key}");
        with(&[&set], &[("PLEXUS_INTERNAL__SECRET", "hunter2")]).expect("with a secret");
    }
}

#[test]
fn several_processes_need_postgres_redis_and_a_secret() {
    let mut sources = Sources::default();
    for (expected, set) in [
        ("database.url", "database.url=postgres://localhost/plexus"),
        ("redis.url", "redis.url=redis://localhost"),
    ] {
        let error = Config::load(&sources, Topology::Split).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
        sources.set.push(set.to_owned());
    }
    let error = Config::load(&sources, Topology::Split)
        .expect_err("no secret")
        .to_string();
    assert!(error.contains("internal.secret_file"), "{error}");
    sources
        .environment
        .push(("PLEXUS_INTERNAL__SECRET".to_owned(), "hunter2".to_owned()));
    Config::load(&sources, Topology::Split).expect("complete");
}

#[test]
fn values_out_of_range_are_refused() {
    for set in [
        "lease.ttl_ms=10",
        "rooms.default_version=13",
        "database.pool_max=0",
        "database.url=mysql://x",
        "metrics.address=x",
        "redis.url=x",
    ] {
        let (key, _) = set.split_once('=').expect("an assignment");
        assert!(refused(&[set], &[]).contains(key), "{set}");
    }
}

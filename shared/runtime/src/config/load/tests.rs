use std::path::Path;

use super::*;
use crate::config::Topology;

fn error_of(text: &str) -> String {
    let parsed = parse("plexus.toml", text).and_then(|merging| ConfigError::all(merging.wrong));
    parsed.expect_err(text).to_string()
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
         allow_open_without_verification, shared_secret_file, guests, tokens_file, terms_url, terms_name, terms_version"
    );
    let error = error_of("opne = true\n");
    assert!(error.contains("Allowed at the top: server_name, data_dir"), "{error}");
    assert!(error.contains("; sections: listen, internal, database"), "{error}");
}

#[test]
fn an_unknown_section_is_named_with_its_line_and_the_nearest_section() {
    let known = "Sections: listen, internal, database, redis, registration, accounts, turn, discovery, rooms, \
        media, presence, user_directory, search, sync, outbound, federation, lease, log, metrics";
    for (text, line) in [
        ("\n[lisen]\naddress = \"127.0.0.1:1\"\n", 2),
        ("lisen.address = \"127.0.0.1:1\"\n", 1),
        ("[log]\n\n[lisen]\n", 3),
    ] {
        let expected = format!("plexus.toml line {line}: unknown section \"lisen\"; did you mean \"listen\"? {known}");
        assert_eq!(error_of(text), expected);
    }
    let error = refused(&["databse.url=postgres://localhost"], &[]);
    assert!(
        error.starts_with("--set databse.url: unknown section \"databse\"; did you mean \"database\"?"),
        "{error}"
    );
}

#[test]
fn a_broken_rule_says_where_its_keys_were_set() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("plexus.toml");
    let text = "# ours\nmetrics.address = \"x\"\n\n[lease]\n# short\nttl_ms = 5\n[internal]\naddress = \"10.0.0.1:1\"\n\
                [listen]\naddress = \"10.0.0.1:2\"\n[registration]\nopen = true\n";
    std::fs::write(&path, text).expect("written");
    let sources = Sources {
        file: Some(path.clone()),
        environment: vec![
            ("PLEXUS_DATABASE__POOL_MAX".to_owned(), "0".to_owned()),
            ("PLEXUS_ROOMS__DEFAULT_VERSION".to_owned(), "13".to_owned()),
        ],
        set: [
            "rooms.default_version=14",
            "database.url=x",
            "redis.url=x",
            "log.level=a=b",
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    let error = Config::load(&sources, Topology::One).expect_err("rules").to_string();
    let file = path.display();
    let expected = [
        "9 things are wrong with the configuration:".to_owned(),
        "--set rooms.default_version: rooms.default_version is \"14\", but".to_owned(),
        format!("{file} line 6: lease.ttl_ms is 5, but it has to be between 1000 and 60000"),
        "PLEXUS_DATABASE__POOL_MAX: database.pool_max is 0, but".to_owned(),
        "--set database.url: database.url has to begin with postgres://".to_owned(),
        "--set redis.url: redis.url has to begin with redis://".to_owned(),
        format!("{file} line 2: metrics.address is \"x\""),
        "--set log.level: log.level is \"a=b\"".to_owned(),
        format!("{file} line 12, {file} line 10: registration.open lets anybody who reaches 10.0.0.1:2"),
        format!("{file} line 8: internal.address = 10.0.0.1:1 can be reached from outside"),
    ];
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{error}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(&expected), "{line} is not {expected}");
    }
}

#[test]
fn a_rule_about_a_default_has_no_place() {
    let error = Config::load(&Sources::default(), Topology::Split)
        .expect_err("one process only")
        .to_string();
    assert!(error.contains("\nseveral processes need redis.url"), "{error}");
}

#[test]
fn everything_wrong_is_told_at_once() {
    let error = error_of("opne = 1\nlease = 5\n[log]\nlevel = 3\nformat = \"text\"\n[lisen]\n");
    let lines: Vec<&str> = error.lines().collect();
    let expected = [
        "4 things are wrong with the configuration:",
        "plexus.toml line 1: unknown key \"opne\"",
        "plexus.toml line 2: \"lease\" is a section",
        "plexus.toml line 4: log.level: invalid type: integer `3`, expected a string. Allowed: ",
        "plexus.toml line 6: unknown section \"lisen\"",
    ];
    assert_eq!(lines.len(), expected.len(), "{error}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line} is not {expected}");
    }
    let error = refused(&["listen.port=1", "nothing"], &[("PLEXUS_LEASE__TTL_MS", "soon")]);
    assert!(
        error.contains("\nPLEXUS_LEASE__TTL_MS: lease.ttl_ms: \"soon\" is not"),
        "{error}"
    );
    assert!(error.contains("\n--set listen.port: unknown key"), "{error}");
    assert!(
        error.ends_with("\n--set nothing: expected section.key=value"),
        "{error}"
    );
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
fn lists_come_from_the_environment_as_they_are_in_the_file() {
    let name = "PLEXUS_FEDERATION__TRUSTED_KEY_SERVERS";
    let servers = |text| with(&[], &[(name, text)]).map(|config| config.federation.trusted_key_servers);
    assert_eq!(servers("[]").unwrap(), Vec::<String>::new());
    assert_eq!(
        servers(r#"["a.example", "b.example"]"#).unwrap(),
        ["a.example", "b.example"]
    );
    assert_eq!(servers("a.example").unwrap(), ["a.example"]);
    for wrong in ["[", "[1]", "[\"a\"]\nadmin = true"] {
        assert!(servers(wrong).is_err(), "{wrong}");
    }
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
    let error = refused(&[&missing], &[]);
    let expected =
        "--set registration.shared_secret_file: registration.shared_secret_file: cannot read /nonexistent/secret";
    assert!(error.starts_with(expected), "{error}");
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

#[test]
fn seed_5223_5249_the_default_room_version_is_set_and_an_unknown_one_refuses_to_start() {
    assert!(refused(&["rooms.default_version=99"], &[]).contains("rooms.default_version"));
    let sources = Sources {
        set: vec!["rooms.default_version=4".to_owned()],
        ..Sources::default()
    };
    let config = Config::load(&sources, Topology::One).expect("the 1.0 profile, seed P1 and 5379");
    assert_eq!(config.rooms.default_version, "4");
}

//! The arrows between crates (README, section Architecture).

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use plexus_tests::repository;

/// Our crates, the lowest first. A crate depends on crates of lower levels only.
const LEVELS: &[&[&str]] = &[
    &["plexus-core"],
    &["plexus-storage", "plexus-proto"],
    &["plexus-replication", "plexus-federation"],
    &["plexus-media"],
    &["plexus-service"],
    &["plexus-api"],
    &["plexus-runtime"],
    &["plexus-master", "plexus-federation-sender"],
    &["plexus"],
    &["plexus-tests", "plexus-load"],
];

/// For tests of any crate.
const TESTKIT: &str = "plexus-testkit";

/// Third-party crates, and which of ours may know them.
const KEPT_TO: &[(&str, &[&str])] = &[
    ("tokio-postgres", &["plexus-storage"]),
    ("deadpool-postgres", &["plexus-storage"]),
    ("rusqlite", &["plexus-storage"]),
    ("redis", &["plexus-replication"]),
    ("actix-web", &["plexus-api", "plexus-runtime"]),
    ("tonic-prost-build", &["plexus-proto"]),
    ("protox", &["plexus-proto"]),
    ("clap", &["plexus", "plexus-load"]),
];

/// What the rules of Matrix must not know: I/O, time, HTTP.
const NOT_IN_CORE: &[&str] = &[
    "tokio",
    "hyper",
    "tonic",
    "reqwest",
    "tracing",
    "metrics",
    "futures-util",
];

/// The master decides by the store and the core; what both he and a service need goes into the core.
const NOT_IN_MASTER: &[&str] = &["plexus-service", "plexus-api", "plexus-runtime", "actix-web"];

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(repository().join("Cargo.toml")).no_deps();
    command.exec().expect("cargo describes the workspace")
}

fn level(package: &str) -> usize {
    let found = LEVELS.iter().position(|level| level.contains(&package));
    found.unwrap_or_else(|| panic!("{package} has no level yet: say in this test where it belongs"))
}

/// What a package needs to run; what its tests need besides does not count.
fn dependencies(package: &Package) -> BTreeSet<&str> {
    let needed = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development);
    needed.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn crates_depend_on_lower_levels_only() {
    for package in &metadata().packages {
        let name = package.name.as_str();
        if name == TESTKIT {
            continue;
        }
        for dependency in dependencies(package) {
            if dependency == TESTKIT {
                assert_eq!(name, "plexus-tests", "{name} ships with {TESTKIT}");
            } else if dependency.starts_with("plexus") {
                assert!(
                    level(dependency) < level(name),
                    "{name} must not depend on {dependency}"
                );
            }
        }
    }
}

#[test]
fn third_party_crates_stay_where_they_belong() {
    for package in &metadata().packages {
        let (name, needed) = (package.name.as_str(), dependencies(package));
        for (dependency, allowed) in KEPT_TO {
            assert!(
                !needed.contains(dependency) || allowed.contains(&name),
                "{name} must not know {dependency}"
            );
        }
        let forbidden = match name {
            "plexus-core" => NOT_IN_CORE,
            "plexus-master" => NOT_IN_MASTER,
            _ => &[],
        };
        for dependency in forbidden {
            assert!(!needed.contains(dependency), "{name} must not know {dependency}");
        }
    }
}

#[test]
fn every_dependency_is_named_once_for_all() {
    for package in &metadata().packages {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("cargo has just read it");
        let mut lines = manifest.lines();
        while lines
            .by_ref()
            .any(|line| line.trim_start().starts_with('[') && line.contains("dependencies]"))
        {
            for line in lines.by_ref().take_while(|line| !line.trim().is_empty()) {
                assert!(
                    line.contains("workspace = true") || line.starts_with('#'),
                    "{}: {line}",
                    package.name
                );
            }
        }
        assert!(
            manifest.contains("[lints]\nworkspace = true") || package.name == "plexus-proto",
            "{}",
            package.name
        );
    }
}

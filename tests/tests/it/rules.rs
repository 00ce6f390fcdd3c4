//! Rules of the house about migrations, SQL and errcodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use plexus_tests::{repository, run_plexus};

/// How a string of SQL begins, after its name.
const VERBS: &[&str] = &[
    "SELECT ",
    "INSERT INTO",
    "UPDATE ",
    "DELETE FROM",
    "WITH ",
    "CREATE TABLE",
    "ALTER TABLE",
];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("the folder can be read").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !["target", "node_modules"].contains(&name) && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Each table of the migrations, and whether it is ordered.
fn tables() -> BTreeMap<String, bool> {
    let mut tables = BTreeMap::new();
    for entry in fs::read_dir(repository().join("migrations")).expect("there are migrations") {
        let path = entry.expect("the folder can be read").path();
        let text = fs::read_to_string(&path).expect("migrations are text");
        let mut ordered = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
                let table = rest.split([' ', '(']).next().unwrap_or_default().to_owned();
                let ordered = ordered.take();
                let ordered = ordered.unwrap_or_else(|| panic!("{table} does not say whether it is ordered or free"));
                tables.insert(table, ordered);
            } else if line.starts_with("-- ordered:") {
                ordered = Some(true);
            } else if line.starts_with("-- free:") {
                ordered = Some(false);
            }
        }
    }
    tables
}

#[test]
fn each_table_is_ordered_or_free() {
    let tables = tables();
    assert!(tables.contains_key("log") && tables.contains_key("facts"), "{tables:?}");
}

#[test]
fn migrations_keep_to_the_subset() {
    for entry in fs::read_dir(repository().join("migrations")).expect("there are migrations") {
        let text = fs::read_to_string(entry.expect("the folder can be read").path()).expect("migrations are text");
        let code: String = text
            .lines()
            .filter(|line| !line.starts_with("--"))
            .collect::<Vec<_>>()
            .join("\n");
        for banned in [
            "SERIAL",
            "JSONB",
            "TIMESTAMP",
            "VARCHAR",
            "INTEGER",
            "REAL",
            "NUMERIC",
            "[]",
            "::",
            "DROP ",
        ] {
            assert!(!code.contains(banned), "{banned} is not in the subset of both engines");
        }
    }
}

#[test]
fn sql_is_in_storage_only() {
    let root = repository();
    let elsewhere = ["shared", "workers", "proto"].map(|folder| root.join(folder));
    for path in elsewhere.iter().flat_map(|folder| rust_files(folder)) {
        let inside = path.strip_prefix(root).expect("it is in the repository");
        // A test may look at the tables to see what something has cost.
        let is_test = inside.components().any(|part| part.as_os_str() == "tests");
        if is_test || inside.starts_with("shared/storage") || inside.starts_with("shared/testkit") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("sources are text");
        for line in text.lines() {
            let code = line.trim_start();
            let literal = code.split_once('"').map_or(code, |(_, literal)| literal);
            let is_sql = VERBS.iter().any(|verb| literal.starts_with(verb));
            assert!(
                !is_sql || code.starts_with("//"),
                "{} has SQL: {code}",
                inside.display()
            );
        }
    }
}

#[test]
fn each_statement_begins_with_its_name_and_keeps_to_the_subset() {
    let mut statements = 0;
    for path in rust_files(&repository().join("shared/storage/src")) {
        let text = fs::read_to_string(&path).expect("sources are text");
        let file = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        if file == "dialect.rs" {
            // It rewrites SQL, and its tests have some of every kind.
            continue;
        }
        for (at, _) in text.match_indices("\"-- ") {
            let literal = &text[at + 1..];
            let literal = &literal[..literal.find("\";").unwrap_or(literal.len().min(2000))];
            statements += 1;
            let name = literal[3..].split(['\\', '\n', '"']).next().unwrap_or_default();
            assert!(
                name.contains("::") && !name.contains(' '),
                "{file}: {name:?} is no name of a function"
            );
            for banned in [
                "FOR UPDATE",
                "SKIP LOCKED",
                " LIKE ",
                "GREATEST",
                "LEAST(",
                "NULLS ",
                "::BIGINT",
                "ILIKE",
            ] {
                assert!(!literal.contains(banned), "{file}: {name} uses {banned}");
            }
        }
    }
    assert!(statements > 20, "only {statements} statements were found");
}

/// Ordered tables change by a Command of the master, who puts together statements; a function that writes one at once would go around him.
#[test]
fn only_free_tables_are_written_at_once() {
    let tables = tables();
    // The log's own rows are the master's lease, head and housekeeping.
    let masters_own = ["log.rs"];
    for path in rust_files(&repository().join("shared/storage/src")) {
        let file = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        if masters_own.contains(&file.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("sources are text");
        // A function ends where its closing brace stands at the margin of its item.
        for function in text.split("fn ").skip(1) {
            let body = function.split("\n}\n").next().unwrap_or(function);
            let body = body.split("\n    }\n").next().unwrap_or(body);
            if !(body.contains(".execute(") || body.contains(".transaction(")) {
                continue;
            }
            for (table, ordered) in &tables {
                let writes = ["INSERT INTO ", "UPDATE ", "DELETE FROM "].map(|verb| format!("{verb}{table} "));
                let written = writes.iter().any(|write| body.contains(write.as_str()));
                assert!(
                    !(written && *ordered),
                    "{file} writes the ordered table {table} without the master"
                );
            }
        }
    }
}

/// The master's errcodes pass to the client unchanged, so the catalogue has to have them though its crate does not make them.
#[test]
fn the_catalogue_has_the_masters_errcodes() {
    let output = run_plexus(repository(), &["errors"]);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("errors are text");
    let catalogue: BTreeSet<(&str, &str)> = printed
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let errcode = words.next().expect("a line begins with an errcode");
            (errcode, words.next().expect("its status follows"))
        })
        .collect();
    let path = repository().join("workers/master/src/error.rs");
    let source = fs::read_to_string(path).expect("sources are text");
    // `const NAME: &str = "M_…";`: what a call may name in place of the errcode.
    let constants: BTreeMap<&str, &str> = source
        .split("const ")
        .skip(1)
        .filter_map(|constant| constant.lines().next()?.split_once(": &str = "))
        .map(|(name, literal)| (name, literal.trim_matches(['"', ';'])))
        .filter(|(_, errcode)| errcode.starts_with("M_"))
        .collect();
    let (mut literals, mut made) = (0, BTreeSet::new());
    for call in source.split("refused(").skip(1) {
        let mut arguments = call.splitn(3, ',').map(str::trim);
        let status = arguments.next().unwrap_or_default();
        if status.parse::<u16>().is_err() {
            continue;
        }
        let argument = arguments.next().expect("the errcode follows the status");
        let errcode = constants.get(argument).copied().unwrap_or_else(|| {
            literals += 1;
            argument.trim_matches('"')
        });
        made.insert(errcode);
        assert!(
            catalogue.contains(&(errcode, status)),
            "`plexus errors` lacks {errcode} {status}, which the master answers with"
        );
    }
    // Every errcode of the file is in such a call: else some would go unseen here.
    assert!(
        constants.values().all(|errcode| made.contains(errcode)),
        "{constants:?} {made:?}"
    );
    assert_eq!(literals + constants.len(), source.matches("\"M_").count());
}

/// The master has no other place that makes errcodes.
#[test]
fn the_masters_errcodes_are_in_one_file() {
    for path in rust_files(&repository().join("workers/master/src")) {
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        if is_test || path.ends_with("error.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("sources are text");
        assert!(!text.contains("\"M_"), "{} makes an errcode", path.display());
    }
}

//! No query without an index: every statement of this crate is given to SQLite, which says how it would run it.

use std::{fs, path::Path};

use plexus_storage::db::Value;
use plexus_testkit::sqlite_database;

/// The statements in the crate's source: string literals that begin with a comment naming their function.
fn statements() -> Vec<&'static str> {
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let source = fs::read_to_string(path).unwrap().leak();
        let literals = source.split('"').skip(1).step_by(2);
        found.extend(
            literals.filter(|text| {
                text.starts_with("-- ") && text.contains("::") && text.contains('\n')
            }),
        );
    }
    found
}

/// Whether a step of a plan reads a whole table.
fn scans(step: &str, sql: &str) -> bool {
    // In the order of an index, a limit ends it.
    step.starts_with("SCAN")
        && !step.contains("CONSTANT ROW")
        && !(step.contains("USING") && sql.contains("LIMIT"))
}

#[tokio::test]
async fn every_statement_uses_an_index() {
    let database = sqlite_database().await;
    let mut explained = 0;
    for sql in statements() {
        let count = (1..).take_while(|n| sql.contains(&format!("${n}"))).count();
        let params: Vec<Value> = (1..=count)
            .map(|n| {
                if sql.contains(&format!("ANY(${n})")) {
                    Value::Ints(vec![1])
                } else {
                    Value::Null
                }
            })
            .collect();
        let (name, text) = sql.split_once('\n').unwrap();
        if ["SELECT", "INSERT", "UPDATE", "DELETE"]
            .iter()
            .all(|verb| !text.trim_start().starts_with(verb))
        {
            continue;
        }
        let explain: &'static str = format!("{name}\nEXPLAIN QUERY PLAN {text}").leak();
        let plan = database
            .db
            .query(explain, &params)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        for step in plan {
            let step = step.text(3).unwrap();
            assert!(!scans(step, sql), "{step}: {sql}");
        }
        explained += 1;
    }
    assert!(explained > 45, "{explained} statements found");
}

//! No query without an index: every statement of this crate is given to SQLite, which says how it would run it.

use std::{fs, path::Path};

use plexus_storage::db::Value;
use plexus_testkit::sqlite_database;

/// Tables with a row for each process, chain, bucket or key that this server has had, and no more.
const FEW_ROWS: [&str; 5] = [
    "processes",
    "leases",
    "log_head",
    "old_signing_keys",
    "delivery_cursors",
];

/// Tables that are read in the order of their key, which is that of the table itself, so that a limit ends it.
const BY_KEY: [(&str, &str); 2] = [
    ("delivery_lags", "ORDER BY server LIMIT"),
    ("destinations", "ORDER BY server_name LIMIT"),
];

/// No statement has more parameters.
const PARAMS_MAX: usize = 20;

/// The statements in the tables' files: string literals that begin with a comment naming their function.
fn statements() -> Vec<&'static str> {
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = Vec::new();
    while let Some(path) = files.pop() {
        if path.ends_with("src/db") {
            continue;
        }
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        // Some are written with an escaped end of line.
        let source = fs::read_to_string(path).unwrap().replace("\\n\\\n", "\n").leak();
        let literals = source.split('"').skip(1).step_by(2);
        found.extend(literals.filter(|text| text.starts_with("-- ") && text.contains("::") && text.contains('\n')));
    }
    found
}

/// Whether a step of a plan reads a whole table.
fn scans(step: &str, sql: &str) -> bool {
    let Some(scanned) = step.strip_prefix("SCAN ") else {
        return false;
    };
    let (table, how) = scanned.split_once(' ').unwrap_or((scanned, ""));
    // What a subquery gives has steps of its own. In the order of an index, a limit ends the scan.
    let named = sql.contains(&format!(") AS {table}")) || sql.contains(&format!("RECURSIVE {table} ("));
    let subquery = named || table.starts_with("(subquery-");
    let by_key = BY_KEY
        .iter()
        .any(|(keyed, order)| *keyed == table && sql.contains(order));
    let ends_early = by_key || how.contains("USING") && sql.contains("LIMIT");
    let no_table = table == "rarray" || FEW_ROWS.contains(&table) || scanned == "CONSTANT ROW";
    !(subquery || ends_early || no_table)
}

#[tokio::test]
async fn every_statement_uses_an_index() {
    let database = sqlite_database().await;
    let (mut explained, mut scanning) = (0, Vec::new());
    for sql in statements() {
        let count = (1..=PARAMS_MAX).take_while(|n| sql.contains(&format!("${n}"))).count();
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
        if ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"]
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
            if scans(step, sql) {
                scanning.push(format!("{step}: {sql}"));
            }
        }
        explained += 1;
    }
    assert!(scanning.is_empty(), "{}", scanning.join("\n"));
    assert!(explained > 45, "{explained} statements found");
}

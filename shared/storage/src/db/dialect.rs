//! One text of SQL for two engines.
//!
//! Queries are written for PostgreSQL in the subset of DESIGN section 5. This is all that has to be rewritten: types, parameters, lists, the clock.

use std::borrow::Cow;

/// The database's clock in milliseconds, in our queries.
const NOW: &str = "now_ms()";
/// Not `now()`, which stands still in a transaction.
const NOW_POSTGRES: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
const NOW_SQLITE: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// The name in the comment a statement begins with.
pub(super) fn name(sql: &'static str) -> &'static str {
    let line = sql.trim_start().lines().next().unwrap_or_default();
    line.strip_prefix("--").unwrap_or(line).trim()
}

/// The text for PostgreSQL.
pub(super) fn for_postgres(sql: &str) -> Cow<'_, str> {
    if sql.contains(NOW) {
        Cow::Owned(sql.replace(NOW, NOW_POSTGRES))
    } else {
        Cow::Borrowed(sql)
    }
}

/// The text of one statement for SQLite.
pub(super) fn for_sqlite(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    for piece in pieces(sql) {
        match piece {
            Piece::Code(code) => push_code(&mut out, code),
            Piece::Quoted(text) => out.push_str(text),
            Piece::Comment => out.push(' '),
        }
    }
    out.trim().to_owned()
}

/// A migration without what is only for other engines: what stands between `-- only: NAME` and `-- end only`.
pub(super) fn only_for(sql: &str, engine: &str) -> String {
    let mut wanted = true;
    let mut kept = String::with_capacity(sql.len());
    for line in sql.lines() {
        if let Some(only) = line.strip_prefix("-- only: ") {
            wanted = only.trim() == engine;
        } else if line.trim_end() == "-- end only" {
            wanted = true;
        } else if wanted {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The statements of a migration for SQLite, where tables are STRICT, and WITHOUT ROWID unless a BIGINT is the primary key (one tree instead of two).
pub(super) fn migration_for_sqlite(sql: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    for piece in pieces(sql) {
        let current = statements.len() - 1;
        match piece {
            Piece::Code(code) => {
                let mut parts = code.split(';');
                push_code(&mut statements[current], parts.next().unwrap_or_default());
                for part in parts {
                    let mut next = String::new();
                    push_code(&mut next, part);
                    statements.push(next);
                }
            }
            Piece::Quoted(text) => statements[current].push_str(text),
            Piece::Comment => statements[current].push(' '),
        }
    }
    statements
        .iter()
        .map(|statement| statement.trim())
        .filter(|statement| !statement.is_empty())
        .map(|statement| {
            if !statement.starts_with("CREATE TABLE") {
                statement.to_owned()
            } else if statement.contains("INTEGER NOT NULL PRIMARY KEY") {
                format!("{statement} STRICT")
            } else {
                format!("{statement} STRICT, WITHOUT ROWID")
            }
        })
        .collect()
}

enum Piece<'a> {
    Code(&'a str),
    /// With its quotes.
    Quoted(&'a str),
    Comment,
}

/// Cuts SQL into code, string literals and comments.
fn pieces(mut sql: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    while !sql.is_empty() {
        let quote = sql.find('\'').unwrap_or(sql.len());
        let comment = sql.find("--").unwrap_or(sql.len());
        let code_end = quote.min(comment);
        if code_end > 0 {
            pieces.push(Piece::Code(&sql[..code_end]));
        }
        sql = &sql[code_end..];
        if sql.starts_with('\'') {
            // A doubled quote inside a literal makes two literals side by side, which comes out the same.
            let end = sql[1..].find('\'').map_or(sql.len(), |at| at + 2);
            pieces.push(Piece::Quoted(&sql[..end]));
            sql = &sql[end..];
        } else if sql.starts_with("--") {
            pieces.push(Piece::Comment);
            sql = &sql[sql.find('\n').unwrap_or(sql.len())..];
        }
    }
    pieces
}

/// Rewrites code word by word.
fn push_code(out: &mut String, code: &str) {
    let code = code
        .replace("= ANY(", "IN rarray(")
        .replace(NOW, NOW_SQLITE)
        .replace('$', "?");
    let mut rest = code.as_str();
    while !rest.is_empty() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let word_end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        out.push_str(match word {
            "BIGINT" | "BOOLEAN" => "INTEGER",
            "BYTEA" => "BLOB",
            other => other,
        });
        let gap_end = after.find(is_word).unwrap_or(after.len());
        out.push_str(&after[..gap_end]);
        rest = &after[gap_end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_named_by_its_first_line() {
        assert_eq!(name("-- rooms::get\nSELECT 1"), "rooms::get");
        assert_eq!(name("\n  -- rooms::get  \nSELECT 1"), "rooms::get");
    }

    #[test]
    fn parameters_lists_types_and_the_clock_are_rewritten() {
        let sql =
            "-- a::b\nSELECT CAST($1 AS BYTEA), 'it''s -- $2 BIGINT' FROM t WHERE x = ANY($2) AND y < now_ms() -- $3";
        assert_eq!(
            for_sqlite(sql),
            "SELECT CAST(?1 AS BLOB), 'it''s -- $2 BIGINT' FROM t WHERE x IN rarray(?2) AND y < CAST(unixepoch('subsec') * 1000 AS INTEGER)"
        );
        assert!(for_postgres("SELECT now_ms()").contains("clock_timestamp"));
        assert_eq!(for_postgres("SELECT $1"), "SELECT $1");
    }

    #[test]
    fn a_part_of_a_migration_can_be_for_one_engine() {
        let sql = "a;\n-- only: sqlite\nb;\n-- end only\nc;\n-- only: postgres\nd;\n-- end only\ne;\n";
        assert_eq!(only_for(sql, "sqlite"), "a;\nb;\nc;\ne;\n");
        assert_eq!(only_for(sql, "postgres"), "a;\nc;\nd;\ne;\n");
    }

    #[test]
    fn names_that_contain_a_type_stay() {
        assert_eq!(
            for_sqlite("SELECT MY_BIGINT, BIGINTS FROM t"),
            "SELECT MY_BIGINT, BIGINTS FROM t"
        );
    }

    #[test]
    fn tables_are_strict_and_have_one_tree() {
        let statements = migration_for_sqlite(
            "-- free: a; b\nCREATE TABLE a (id BIGINT NOT NULL PRIMARY KEY, ok BOOLEAN);\n\
             CREATE TABLE b (k TEXT NOT NULL PRIMARY KEY, d TEXT NOT NULL DEFAULT ';');\nCREATE INDEX c ON b (d);",
        );
        assert_eq!(
            statements,
            [
                "CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY, ok INTEGER) STRICT",
                "CREATE TABLE b (k TEXT NOT NULL PRIMARY KEY, d TEXT NOT NULL DEFAULT ';') STRICT, WITHOUT ROWID",
                "CREATE INDEX c ON b (d)",
            ]
        );
    }
}

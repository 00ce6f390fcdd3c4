//! CPU seconds and memory of processes and all their children, read from `/proc` (Linux only).
//!
//! A process's time includes that of children it has already waited for, so a database that starts and ends
//! backends during a measurement is counted whole.

use std::{collections::HashMap, fs};

use serde::Serialize;

/// `/proc` counts time in units of 1/100 s on every Linux architecture we know (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
/// Deeper process trees than this are cut off.
const MAX_TREE_DEPTH: usize = 16;

/// What a set of process trees had used at one moment.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    /// Sum of resident sets: memory shared between processes is counted once for each.
    pub(crate) rss_mb: f64,
    /// Sum of proportional sets: shared memory is counted once.
    pub(crate) pss_mb: f64,
}

/// The CPU seconds of the trees under `roots`; cheap enough to call around each scenario.
pub(crate) fn cpu_seconds(roots: &[u32]) -> f64 {
    let table = process_table();
    tree(&table, roots)
        .iter()
        .filter_map(|pid| table.get(pid))
        .map(|row| row.cpu_seconds)
        .sum()
}

/// The CPU seconds of this process.
pub(crate) fn own_cpu_seconds() -> f64 {
    read_stat(std::process::id()).map_or(0.0, |row| row.cpu_seconds)
}

/// CPU and memory of the trees under `roots`.
pub(crate) fn usage(roots: &[u32]) -> Usage {
    let table = process_table();
    let mut total = Usage::default();
    for pid in tree(&table, roots) {
        if let Some(row) = table.get(&pid) {
            total.cpu_seconds += row.cpu_seconds;
        }
        total.rss_mb += field_kb(&format!("/proc/{pid}/status"), "VmRSS:") / 1024.0;
        total.pss_mb += field_kb(&format!("/proc/{pid}/smaps_rollup"), "Pss:") / 1024.0;
    }
    total
}

/// Whether every one of `roots` is alive.
pub(crate) fn all_alive(roots: &[u32]) -> bool {
    roots.iter().all(|pid| read_stat(*pid).is_some())
}

struct Row {
    parent: u32,
    cpu_seconds: f64,
}

fn process_table() -> HashMap<u32, Row> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, read_stat(pid)?)))
        .collect()
}

fn tree(table: &HashMap<u32, Row>, roots: &[u32]) -> Vec<u32> {
    table
        .keys()
        .copied()
        .filter(|pid| descends(table, *pid, roots))
        .collect()
}

fn descends(table: &HashMap<u32, Row>, mut pid: u32, roots: &[u32]) -> bool {
    for _ in 0..MAX_TREE_DEPTH {
        if roots.contains(&pid) {
            return true;
        }
        match table.get(&pid) {
            Some(row) => pid = row.parent,
            None => return false,
        }
    }
    false
}

fn read_stat(pid: u32) -> Option<Row> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command name stands in parentheses and may hold spaces and parentheses itself; fields are counted from its end.
fn parse_stat(text: &str) -> Option<Row> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    // utime, stime, cutime, cstime: fields 14 to 17 of proc(5).
    let ticks = fields
        .get(11..15)?
        .iter()
        .map(|field| field.parse::<f64>().ok())
        .sum::<Option<f64>>()?;
    Some(Row {
        parent,
        cpu_seconds: ticks / TICKS_PER_SECOND,
    })
}

fn field_kb(path: &str, name: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_names_with_parentheses_do_not_shift_the_fields() {
        let text = "7 (a) b) (c) S 3 7 7 0 -1 4194560 1 2 0 0 150 50 20 30 20 0 1 0 1 1 1";
        let row = parse_stat(text).expect("a full line");
        assert_eq!(row.parent, 3);
        assert!((row.cpu_seconds - 2.5).abs() < 1e-9);
    }

    #[test]
    fn our_own_process_is_alive_and_uses_memory() {
        let own = std::process::id();
        assert!(all_alive(&[own]));
        assert!(usage(&[own]).rss_mb > 0.1);
    }

    #[test]
    fn a_childs_time_belongs_to_its_grandparent() {
        let row = |parent, cpu_seconds| Row { parent, cpu_seconds };
        let table = HashMap::from([
            (10, row(1, 1.0)),
            (11, row(10, 2.0)),
            (12, row(11, 4.0)),
            (20, row(1, 8.0)),
        ]);
        let mut found = tree(&table, &[10]);
        found.sort_unstable();
        assert_eq!(found, [10, 11, 12]);
    }
}

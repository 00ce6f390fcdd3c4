//! Memory, processor time, threads and open files of this process, from `/proc`.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

const RESIDENT_BYTES: &str = "plexus_process_resident_memory_bytes";
const CPU_MS: &str = "plexus_process_cpu_milliseconds_total";
const THREADS: &str = "plexus_process_threads";
const OPEN_FILES: &str = "plexus_process_open_files";
const BUILD: &str = "plexus_build_info";
const UPTIME: &str = "plexus_process_uptime_seconds";

/// Linux gives processor times to programs in hundredths of a second, whatever the kernel was built with.
const MS_PER_TICK: u64 = 10;

/// Says what the numbers are.
pub(super) fn describe() {
    describe_gauge!(RESIDENT_BYTES, Unit::Bytes, "memory of this process that is in RAM");
    describe_counter!(CPU_MS, Unit::Milliseconds, "processor time this process has used");
    describe_gauge!(THREADS, "threads of this process");
    describe_gauge!(OPEN_FILES, "open files and sockets of this process");
    describe_gauge!(UPTIME, Unit::Seconds, "time since this process started");
    describe_gauge!(BUILD, "always 1; the label says which release this is");
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Takes the numbers now. A number that cannot be read keeps its last value.
pub(super) fn sample() {
    if let Some(stat) = read_stat() {
        counter!(CPU_MS).absolute(stat.cpu_ms);
        gauge!(THREADS).set(small(stat.threads));
        if let Some(uptime_ms) = system_uptime_ms() {
            gauge!(UPTIME).set(small(uptime_ms.saturating_sub(stat.started_ms)) / 1000.0);
        }
    }
    if let Some(bytes) = resident_bytes() {
        gauge!(RESIDENT_BYTES).set(small(bytes));
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        gauge!(OPEN_FILES).set(small(files.count() as u64));
    }
}

struct Stat {
    cpu_ms: u64,
    threads: u64,
    started_ms: u64,
}

/// Gauges are floating point; up to 2^53 nothing is lost, and larger values do not occur here.
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
pub(super) fn small(number: u64) -> f64 {
    number as f64
}

fn read_stat() -> Option<Stat> {
    parse_stat(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Reads proc(5)'s `stat`. The process's name, in brackets, may hold anything, so fields are counted after the last bracket.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    // Field 3 of the manual is the first one here.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        cpu_ms: (number(14)? + number(15)?) * MS_PER_TICK,
        threads: number(20)?,
        started_ms: number(22)? * MS_PER_TICK,
    })
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Time since the machine started, from which `stat` counts.
fn system_uptime_ms() -> Option<u64> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let (seconds, rest) = uptime.split_ascii_whitespace().next()?.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 1000 + rest.parse::<u64>().ok()? * MS_PER_TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let text = "42 (ple) xus) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 9 18 700 20 21";
        let stat = parse_stat(text).expect("complete");
        assert_eq!((stat.cpu_ms, stat.threads, stat.started_ms), (3000, 9, 7000));
        assert!(parse_stat("42 (plexus) S 1 2").is_none());
    }

    #[test]
    fn this_process_can_be_read() {
        assert!(read_stat().expect("stat").threads > 0);
        assert!(resident_bytes().expect("status") > 1024 * 1024);
        assert!(system_uptime_ms().expect("uptime") >= read_stat().expect("stat").started_ms);
    }
}

//! What a scenario measured, and the JSON line that says it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{disk, http::LoadError, process, world::Settings};

/// Latencies of the operations that succeeded, and a count of those that did not.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    micros: Vec<u32>,
    errors: u32,
    first_error: Option<String>,
}

impl Samples {
    pub(crate) fn record(&mut self, latency: Duration) {
        self.micros.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    pub(crate) fn fail(&mut self, error: &LoadError) {
        self.fail_many(1, || error.to_string());
    }

    /// Counts `errors` failures of one kind.
    pub(crate) fn fail_many(&mut self, errors: u32, text: impl FnOnce() -> String) {
        if errors == 0 {
            return;
        }
        self.errors = self.errors.saturating_add(errors);
        self.first_error.get_or_insert_with(text);
    }

    /// Counts the result of an operation begun at `started`.
    pub(crate) fn take(&mut self, started: Instant, result: Result<(), LoadError>) {
        match result {
            Ok(()) => self.record(started.elapsed()),
            Err(error) => self.fail(&error),
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.micros.extend(other.micros);
        if let Some(text) = other.first_error {
            self.fail_many(other.errors, || text);
        }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.micros.len()
    }

    pub(crate) fn errors(&self) -> u32 {
        self.errors
    }

    /// The latency that a share of `thousandths` of the samples did not exceed (nearest rank); `sorted` must be.
    fn percentile_ms(sorted: &[u32], thousandths: usize) -> f64 {
        let rank = (sorted.len() * thousandths).div_ceil(1000).max(1);
        sorted.get(rank - 1).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    }
}

/// One line of the report.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) scenario: &'static str,
    /// What one operation is, in words.
    pub(crate) operation: String,
    pub(crate) per_second: f64,
    pub(crate) count: u32,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) errors: u32,
    pub(crate) first_error: Option<String>,
    pub(crate) seconds: f64,
    pub(crate) server_cpu_seconds: f64,
    pub(crate) server_cpu_ms_per_op: f64,
    pub(crate) server_rss_mb: f64,
    pub(crate) server_pss_mb: f64,
    /// Growth of the folders named, for each operation: only meaningful where operations write.
    pub(crate) disk_bytes_per_op: f64,
    pub(crate) load_cpu_seconds: f64,
    /// What else the scenario is about.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) figures: BTreeMap<&'static str, f64>,
}

impl Line {
    /// Adds a figure of the scenario's own.
    pub(crate) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.figures.insert(name, round(value));
        self
    }

    /// Adds errors found by a check after the measurement.
    pub(crate) fn add_errors(&mut self, found: Samples) {
        self.errors = self.errors.saturating_add(found.errors);
        self.first_error = self.first_error.take().or(found.first_error);
    }
}

/// An open measurement: everything between `open` and `close` counts.
#[derive(Debug)]
pub(crate) struct Window {
    pids: Vec<u32>,
    folders: Vec<String>,
    disk_bytes: u64,
    started: Instant,
    server_cpu_seconds: f64,
    own_cpu_seconds: f64,
}

impl Window {
    pub(crate) fn open(settings: &Settings) -> Self {
        Self {
            pids: settings.pids.clone(),
            folders: settings.disk.clone(),
            disk_bytes: disk::allocated_bytes(&settings.disk),
            server_cpu_seconds: process::cpu_seconds(&settings.pids),
            own_cpu_seconds: process::own_cpu_seconds(),
            started: Instant::now(),
        }
    }

    /// Closes the measurement now.
    pub(crate) fn close(self, scenario: &'static str, operation: impl Into<String>, samples: Samples) -> Line {
        let elapsed = self.started.elapsed();
        self.close_at(elapsed, scenario, operation, samples)
    }

    /// Closes a measurement whose last operation ended `elapsed` after the start.
    pub(crate) fn close_at(
        self,
        elapsed: Duration,
        scenario: &'static str,
        operation: impl Into<String>,
        samples: Samples,
    ) -> Line {
        let own = process::own_cpu_seconds() - self.own_cpu_seconds;
        let server = process::usage(&self.pids);
        let grown = disk::allocated_bytes(&self.folders).saturating_sub(self.disk_bytes);
        let grown = f64::from(u32::try_from(grown).unwrap_or(u32::MAX));
        let server_cpu_seconds = server.cpu_seconds - self.server_cpu_seconds;
        let mut sorted = samples.micros;
        sorted.sort_unstable();
        let count = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
        let seconds = elapsed.as_secs_f64();
        Line {
            scenario,
            operation: operation.into(),
            per_second: round(f64::from(count) / seconds.max(1e-6)),
            count,
            p50_ms: Samples::percentile_ms(&sorted, 500),
            p95_ms: Samples::percentile_ms(&sorted, 950),
            p99_ms: Samples::percentile_ms(&sorted, 990),
            max_ms: Samples::percentile_ms(&sorted, 1000),
            errors: samples.errors,
            first_error: samples.first_error,
            seconds: round(seconds),
            server_cpu_seconds: round(server_cpu_seconds),
            server_cpu_ms_per_op: round(server_cpu_seconds * 1000.0 / f64::from(count.max(1))),
            server_rss_mb: round(server.rss_mb),
            server_pss_mb: round(server.pss_mb),
            disk_bytes_per_op: (grown / f64::from(count.max(1))).round(),
            load_cpu_seconds: round(own),
            figures: BTreeMap::new(),
        }
    }
}

/// Three decimals: more would be noise in the report.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let sorted: Vec<u32> = (1..=100).map(|n| n * 1000).collect();
        let of = |thousandths| Samples::percentile_ms(&sorted, thousandths);
        for (thousandths, wanted_ms) in [(500, 50.0), (950, 95.0), (990, 99.0), (1000, 100.0)] {
            assert!((of(thousandths) - wanted_ms).abs() < f64::EPSILON);
        }
        assert!(Samples::percentile_ms(&[], 500).abs() < f64::EPSILON);
        assert!((Samples::percentile_ms(&[7000], 10) - 7.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_first_error_is_kept_and_all_are_counted() {
        let mut samples = Samples::default();
        samples.fail(&LoadError::Wrong("first".to_owned()));
        let mut other = Samples::default();
        other.fail_many(4, || "second".to_owned());
        samples.merge(other);
        assert_eq!((samples.errors, samples.first_error.as_deref()), (5, Some("first")));
    }
}

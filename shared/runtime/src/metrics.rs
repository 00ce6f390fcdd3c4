//! The recorder behind every `metrics` macro, and what a process knows about itself.

use metrics::{Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use plexus_storage::Store;

mod process;

/// Upper bounds of the histograms of durations, from a cache hit to a long poll.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
];

/// Upper bounds of the histograms of sizes: rows of a batch, Commands of a lane's turn.
const COUNTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

const CACHE_ENTRIES: &str = "plexus_cache_entries";
const CACHE_BYTES: &str = "plexus_cache_bytes";
const CACHE_MAX_BYTES: &str = "plexus_cache_max_bytes";

/// The metrics of this process.
#[derive(Clone)]
pub(crate) struct Metrics {
    recorder: PrometheusHandle,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Installs the recorder for the whole process.
    pub(crate) fn install() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
            .set_buckets(COUNTS)?
            .install_recorder()?;
        process::describe();
        describe_gauge!(CACHE_ENTRIES, "entries of a cache");
        describe_gauge!(CACHE_BYTES, Unit::Bytes, "what the entries of a cache weigh");
        describe_gauge!(CACHE_MAX_BYTES, Unit::Bytes, "what the entries of a cache may weigh");
        Ok(Self { recorder })
    }

    /// The text Prometheus scrapes, with the process's own numbers and those of its caches taken now.
    pub(crate) fn render(&self, store: &Store) -> String {
        process::sample();
        sample_caches(store);
        self.recorder.render()
    }

    /// Moves recorded values to where they take no more room; to be called every few seconds, or unscraped histograms grow.
    pub(crate) fn upkeep(&self) {
        self.recorder.run_upkeep();
    }
}

/// Takes how full the caches are now.
fn sample_caches(store: &Store) {
    for cache in store.cache_use() {
        let entries = u64::try_from(cache.entries).unwrap_or(u64::MAX);
        gauge!(CACHE_ENTRIES, "cache" => cache.name).set(process::small(entries));
        gauge!(CACHE_BYTES, "cache" => cache.name).set(process::small(cache.bytes));
        gauge!(CACHE_MAX_BYTES, "cache" => cache.name).set(process::small(cache.max_bytes));
    }
}

//! The recorder behind every `metrics` macro, and what a process knows about itself.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

mod process;

/// Upper bounds of the histograms of durations, from a cache hit to a long poll.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
];

/// Upper bounds of the histograms of sizes: rows of a batch, Commands of a lane's turn.
const COUNTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

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
        Ok(Self { recorder })
    }

    /// The text Prometheus scrapes, with the process's own numbers taken now.
    pub(crate) fn render(&self) -> String {
        process::sample();
        self.recorder.render()
    }

    /// Moves recorded values to where they take no more room; to be called every few seconds, or unscraped histograms grow.
    pub(crate) fn upkeep(&self) {
        self.recorder.run_upkeep();
    }
}

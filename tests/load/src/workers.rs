//! Closed-loop workers: each runs one operation after another until the time, the count or its patience is used up.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use futures_util::future::join_all;

use crate::{http::LoadError, report::Samples};

/// Operations of one scenario, all workers together.
const MAX_OPERATIONS: usize = 1_000_000;
/// A worker that fails this often in one scenario stops: the report already says why.
const MAX_ERRORS_PER_WORKER: u32 = 50;

/// Runs `operation` in a loop for each of `workers`, for `seconds`. A worker whose operation returns `None` has
/// nothing left to do.
pub(crate) async fn run_for<W>(
    seconds: f64,
    workers: Vec<W>,
    operation: impl AsyncFn(&mut W) -> Option<Result<(), LoadError>>,
) -> Samples {
    let deadline = Instant::now() + Duration::from_secs_f64(seconds);
    let share = MAX_OPERATIONS / workers.len().max(1);
    let total = RefCell::new(Samples::default());
    join_all(workers.into_iter().map(async |mut worker| {
        let mut samples = Samples::default();
        for _ in 0..share {
            let started = Instant::now();
            if started >= deadline || samples.errors() >= MAX_ERRORS_PER_WORKER {
                break;
            }
            match operation(&mut worker).await {
                Some(result) => samples.take(started, result),
                None => break,
            }
        }
        total.borrow_mut().merge(samples);
    }))
    .await;
    total.into_inner()
}

//! Waiting for a condition.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

/// How long a test waits for what should happen at once: long, because the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often the condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `look` finds something. Panics, saying what was waited for and the last reason why not, when it does not within `patience`.
pub async fn eventually<T, F>(patience: Duration, what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + patience;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(why) if Instant::now() >= deadline => {
                panic!("waited {patience:?} in vain for {what}: {why}")
            }
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

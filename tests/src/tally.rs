//! How far some people have come with what they do, for whoever makes trouble in the middle of it.

use tokio::{sync::watch, time::timeout};

use crate::eventually::PATIENCE;

/// A count of what has been acknowledged. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tally(watch::Sender<usize>);

impl Tally {
    /// One more.
    pub fn add(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Waits until there are so many.
    pub async fn reached(&self, wanted: usize) {
        let mut counted = self.0.subscribe();
        let reached = timeout(4 * PATIENCE, counted.wait_for(|count| *count >= wanted)).await;
        reached
            .unwrap_or_else(|_| panic!("waited in vain for {wanted}; there are {}", *self.0.borrow()))
            .expect("this end of it is held here");
    }
}

//! How much a server may tell that lasts only for a moment.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};

/// How much at once: what the largest servers send after they were away.
const BURST: i64 = 2_000;
/// How much each second in the long run, in one process: each costs the master about a tenth of a millisecond.
const PER_SECOND: i64 = 100;
/// Servers that are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// What each server has left. Cheap to clone.
#[derive(Clone)]
pub(in crate::federation) struct Budgets(Arc<Cache<OwnedServerName, Arc<Mutex<Budget>>>>);

#[derive(Clone, Copy, Debug)]
struct Budget {
    /// In thousandths.
    left: i64,
    at_ms: i64,
}

impl Default for Budgets {
    fn default() -> Self {
        Self(Arc::new(Cache::new(REMEMBERED_MAX)))
    }
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Budgets")
    }
}

impl Budgets {
    /// Takes one from what a server has left. False if it has none.
    pub(in crate::federation) fn take(&self, server: &ServerName, now_ms: i64) -> bool {
        let budget = self.0.get(server).unwrap_or_else(|| {
            let full = Budget {
                left: BURST * 1_000,
                at_ms: now_ms,
            };
            let budget = Arc::new(Mutex::new(full));
            self.0.insert(server.to_owned(), Arc::clone(&budget));
            budget
        });
        let mut budget = budget.lock().unwrap_or_else(PoisonError::into_inner);
        let passed_ms = (now_ms - budget.at_ms).clamp(0, BURST * 1_000 / PER_SECOND);
        budget.left = (budget.left + passed_ms * PER_SECOND).min(BURST * 1_000);
        budget.at_ms = now_ms;
        let has_some = budget.left >= 1_000;
        if has_some {
            budget.left -= 1_000;
        }
        has_some
    }
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    #[test]
    fn hostile_20_a_server_that_floods_is_not_listened_to_for_a_while() {
        let budgets = Budgets::default();
        let (one, two) = (server_name!("one.example"), server_name!("two.example"));
        let taken = |server, now_ms| (0..100_000).filter(|_| budgets.take(server, now_ms)).count();
        assert_eq!(taken(one, 0), 2_000);
        assert_eq!(taken(two, 0), 2_000, "others do not pay for it");
        assert_eq!(taken(one, 1_000), 100);
        assert_eq!(taken(one, 1_005), 0);
        assert_eq!(taken(one, 1_010), 1);
        assert_eq!(taken(one, 10_000_000), 2_000);
        assert_eq!(taken(one, 5), 0, "a clock that goes back gives nothing");
    }
}

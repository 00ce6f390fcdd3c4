//! The latest changes of a kind, in memory and in order: what a sync asks instead of the database.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use plexus_core::position::Sequence;

/// A process that has heard nothing yet knows nothing.
pub(crate) const UNKNOWN: Sequence = Sequence::MAX;

/// What changed lately, under a lock of the owner's.
#[derive(Debug)]
pub(crate) struct Latest<T> {
    max: usize,
    /// All changes after this place are in `changes`.
    floor: Sequence,
    changes: VecDeque<(Sequence, T)>,
}

impl<T: Copy + Ord> Latest<T> {
    /// Knows of no change, nor that there was none. Remembers `max` of them.
    pub(crate) const fn new(max: usize) -> Self {
        Self {
            max,
            floor: UNKNOWN,
            changes: VecDeque::new(),
        }
    }

    /// Something changed, later than everything else.
    pub(crate) fn push(&mut self, position: Sequence, change: T) {
        self.reach(position);
        self.changes.push_back((position, change));
        if self.changes.len() > self.max
            && let Some((oldest, _)) = self.changes.pop_front()
        {
            self.floor = oldest;
        }
    }

    /// Nothing changed between this place and the one before, nor at it unless it is pushed.
    pub(crate) fn reach(&mut self, position: Sequence) {
        self.floor = self.floor.min(position - 1);
    }

    /// What changed after a place, in order of itself and each once; none if some of it may be forgotten.
    pub(crate) fn after(&self, after: Sequence) -> Option<Vec<T>> {
        if after < self.floor {
            return None;
        }
        let latest_first = self.changes.iter().rev();
        let mut changed: Vec<T> = latest_first
            .take_while(|(position, _)| *position > after)
            .map(|(_, change)| *change)
            .collect();
        changed.sort_unstable();
        changed.dedup();
        Some(changed)
    }
}

/// What changed lately, shared.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    max: usize,
    /// All changes after this place are in `changes`. Moves only while these are locked.
    floor: AtomicI64,
    changes: Mutex<VecDeque<(Sequence, T)>>,
}

impl<T: Clone> Recent<T> {
    /// Knows of no change, nor that there was none. Remembers `max` of them.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            floor: AtomicI64::new(UNKNOWN),
            changes: Mutex::default(),
        }
    }

    /// The row at `position` has come, whatever it is.
    pub(crate) fn reach(&self, position: Sequence) {
        // Every row of the log comes by here, and all but the first find it done.
        if self.floor.load(Ordering::Acquire) >= position {
            let _changes = self.lock();
            self.floor.fetch_min(position - 1, Ordering::AcqRel);
        }
    }

    /// The row at `position` is a change, later than every other.
    pub(crate) fn push(&self, position: Sequence, change: T) {
        let mut changes = self.lock();
        self.floor.fetch_min(position - 1, Ordering::AcqRel);
        changes.push_back((position, change));
        if changes.len() > self.max
            && let Some((oldest, _)) = changes.pop_front()
        {
            self.floor.store(oldest, Ordering::Release);
        }
    }

    /// The changes in (after, `up_to`], oldest first; none if some of them may be forgotten.
    pub(crate) fn between(&self, after: Sequence, up_to: Sequence) -> Option<Vec<(Sequence, T)>> {
        let changes = self.lock();
        if after < self.floor.load(Ordering::Acquire) {
            return None;
        }
        let latest_first = changes.iter().rev().skip_while(|(position, _)| *position > up_to);
        let mut found: Vec<_> = latest_first
            .take_while(|(position, _)| *position > after)
            .cloned()
            .collect();
        found.reverse();
        Some(found)
    }

    /// Whether one of the changes in (after, `up_to`] that are remembered is as asked for.
    pub(crate) fn any(&self, after: Sequence, up_to: Sequence, is_it: impl Fn(&T) -> bool) -> bool {
        let changes = self.lock();
        let latest_first = changes.iter().rev().skip_while(|(position, _)| *position > up_to);
        let mut in_window = latest_first.take_while(|(position, _)| *position > after);
        in_window.any(|(_, change)| is_it(change))
    }

    /// Changes may have been missed.
    pub(crate) fn forget_all(&self) {
        let mut changes = self.lock();
        changes.clear();
        self.floor.store(UNKNOWN, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Sequence, T)>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_changes_are_told_each_once() {
        let mut latest = Latest::new(8);
        assert_eq!(latest.after(5), None, "nothing is known");
        latest.reach(6);
        assert_eq!(latest.after(5), Some(vec![]));
        latest.push(7, 'b');
        latest.push(9, 'a');
        latest.push(10, 'b');
        assert_eq!(latest.after(5), Some(vec!['a', 'b']));
        assert_eq!(latest.after(9), Some(vec!['b']));
        assert_eq!(latest.after(4), None);
        for position in 11..=18 {
            latest.push(position, 'c');
        }
        assert_eq!(latest.after(9), None);
        assert_eq!(latest.after(10), Some(vec!['c']));
    }

    #[test]
    fn what_may_be_forgotten_is_not_denied() {
        let recent = Recent::new(2);
        assert_eq!(recent.between(5, 9), None, "nothing was heard yet");
        recent.reach(6);
        assert_eq!(recent.between(5, 9), Some(vec![]));
        assert_eq!(recent.between(4, 9), None);
        for position in 7..=9 {
            recent.push(position, "change");
        }
        assert_eq!(recent.between(6, 9), None, "one was pushed out");
        assert_eq!(recent.between(7, 9), Some(vec![(8, "change"), (9, "change")]));
        assert_eq!(recent.between(7, 8), Some(vec![(8, "change")]));
        assert_eq!(recent.between(9, 9), Some(vec![]));
        recent.forget_all();
        assert_eq!(recent.between(9, 9), None);
    }
}

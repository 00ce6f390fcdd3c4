//! The Commands of the last while, so that a retry neither runs twice at once nor needs the database.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use plexus_proto::CommandDone;
use tokio::sync::watch;

/// Finished Commands remembered here. Older ones are found in `commands`.
const RECENT_MAX: usize = 20_000;

/// What is known of a Command's id.
#[derive(Debug)]
pub(crate) enum Seen {
    /// It was not seen before, and is running from now on.
    New,
    /// Its first sender is still waiting; this tells when that is over.
    Running(watch::Receiver<()>),
    /// It is done.
    Done(CommandDone),
}

#[derive(Debug)]
enum Entry {
    Running(watch::Sender<()>),
    Done(CommandDone),
}

/// The Commands that run, and the newest that are done.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    entries: HashMap<Bytes, Entry>,
    done: VecDeque<Bytes>,
}

impl Recent {
    /// Looks an id up, and takes it up if it is new.
    pub(crate) fn begin(&mut self, id: &Bytes) -> Seen {
        match self.entries.get(id) {
            Some(Entry::Done(done)) => Seen::Done(done.clone()),
            Some(Entry::Running(ended)) => Seen::Running(ended.subscribe()),
            None => {
                self.entries.insert(id.clone(), Entry::Running(watch::Sender::new(())));
                Seen::New
            }
        }
    }

    /// Remembers what came of a Command. One that failed is forgotten: it may be tried again.
    pub(crate) fn end(&mut self, id: &Bytes, done: Option<&CommandDone>) {
        self.entries.remove(id);
        let Some(done) = done else { return };
        if self.done.len() == RECENT_MAX
            && let Some(oldest) = self.done.pop_front()
        {
            self.entries.remove(&oldest);
        }
        // The frame is for the first answer only: whoever retries asks for what he missed.
        let done = CommandDone {
            frame: Bytes::new(),
            ..done.clone()
        };
        self.done.push_back(id.clone());
        self.entries.insert(id.clone(), Entry::Done(done));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> Bytes {
        Bytes::copy_from_slice(&[byte; 16])
    }

    #[test]
    fn a_repeated_command_waits_for_the_first_and_gets_its_result() {
        let mut recent = Recent::default();
        assert!(matches!(recent.begin(&id(1)), Seen::New));
        let Seen::Running(ended) = recent.begin(&id(1)) else {
            panic!("it is running")
        };
        let done = CommandDone {
            position: 7,
            frame: Bytes::from_static(b"frame"),
            ..CommandDone::default()
        };
        recent.end(&id(1), Some(&done));
        assert!(ended.has_changed().is_err(), "the end wakes whoever waits");
        let Seen::Done(again) = recent.begin(&id(1)) else {
            panic!("it is done")
        };
        assert_eq!((again.position, again.frame.len()), (7, 0));
    }

    #[test]
    fn a_failed_command_may_be_tried_again() {
        let mut recent = Recent::default();
        recent.begin(&id(1));
        recent.end(&id(1), None);
        assert!(matches!(recent.begin(&id(1)), Seen::New));
    }

    #[test]
    fn old_results_make_room() {
        let mut recent = Recent::default();
        let done = CommandDone::default();
        for number in 0..=RECENT_MAX {
            let id = Bytes::from(number.to_string());
            recent.begin(&id);
            recent.end(&id, Some(&done));
        }
        assert_eq!(recent.entries.len(), RECENT_MAX);
        assert!(matches!(recent.begin(&Bytes::from_static(b"0")), Seen::New));
    }
}

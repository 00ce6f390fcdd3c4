//! The log's property: whatever happens on the way, what a reader is given is the log, each row once and in order.

use std::sync::atomic::Ordering::SeqCst;

use proptest::prelude::*;

use super::*;
use crate::testing::{Log, Reader, W1, W2, row};

const READERS: usize = 3;
const WRITERS: [WriterId; 2] = [W1, W2];

/// What happens next. Numbers pick among what there is at the time.
#[derive(Clone, Debug)]
enum Step {
    /// A writer commits, and the frame is on its way to everybody.
    Commit { writer: usize, rows: usize },
    /// Another process takes a chain over.
    TakeOver { writer: usize },
    /// A writer says where its chain ends.
    Heartbeat { writer: usize },
    /// A frame on its way arrives: not always the first one.
    Arrive { reader: usize, which: usize },
    /// It arrives, and will again.
    Repeat { reader: usize, which: usize },
    /// It never arrives.
    Lose { reader: usize, which: usize },
    /// The reader's connection breaks: all that is on its way to it is lost.
    Disconnect { reader: usize },
    /// The reader's process starts again, at the head.
    Restart { reader: usize },
    /// The reader misses nothing that it knows of, and asks all the same.
    Ask { reader: usize, writer: usize },
    /// The next fetches fail.
    FailFetches { count: usize },
    /// Fills under way get on.
    Run { turns: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (reader, writer, which) = (0..READERS, 0..WRITERS.len(), 0..4_usize);
    prop_oneof![
        6 => (writer.clone(), 1..4_usize).prop_map(|(writer, rows)| Step::Commit { writer, rows }),
        1 => writer.clone().prop_map(|writer| Step::TakeOver { writer }),
        1 => writer.clone().prop_map(|writer| Step::Heartbeat { writer }),
        9 => (reader.clone(), which.clone()).prop_map(|(reader, which)| Step::Arrive { reader, which }),
        2 => (reader.clone(), which.clone()).prop_map(|(reader, which)| Step::Repeat { reader, which }),
        2 => (reader.clone(), which).prop_map(|(reader, which)| Step::Lose { reader, which }),
        1 => reader.clone().prop_map(|reader| Step::Disconnect { reader }),
        1 => reader.clone().prop_map(|reader| Step::Restart { reader }),
        1 => (reader, writer).prop_map(|(reader, writer)| Step::Ask { reader, writer }),
        1 => (0..2_usize).prop_map(|count| Step::FailFetches { count }),
        3 => (1..8_usize).prop_map(|turns| Step::Run { turns }),
    ]
}

/// A reader, where it started, and what is on its way to it.
struct Process {
    reader: Reader,
    started: [Sequence; 2],
    under_way: Vec<Arc<Frame>>,
}

impl Process {
    fn start(log: &Arc<Log>) -> Self {
        let heads = WRITERS.map(|writer| {
            let (epoch, at) = log.head(writer);
            (writer, epoch, at)
        });
        let source = Arc::clone(log);
        let reader = Reader::new(&heads, move |writer, _, after| {
            let source = Arc::clone(&source);
            async move {
                // Between the question and the answer the world goes on.
                tokio::task::yield_now().await;
                let updates = source.updates(writer, after, 3);
                tokio::task::yield_now().await;
                updates
            }
        });
        Self {
            reader,
            started: heads.map(|(_, _, at)| at),
            under_way: Vec::new(),
        }
    }

    fn arrive(&mut self, which: usize, again: bool) {
        if self.under_way.is_empty() {
            return;
        }
        let which = which % self.under_way.len();
        let frame = Arc::clone(&self.under_way[which]);
        if !again {
            self.under_way.remove(which);
        }
        self.reader.receiver.receive(&frame);
    }

    /// What it was given is the log from where it started to where it says it is, and nothing else.
    fn check(&self, log: &Log) {
        for (writer, started) in WRITERS.into_iter().zip(self.started) {
            let given = self.reader.given(writer);
            let at = self.reader.receiver.position().get(writer);
            let mut due = log.rows(writer, started);
            due.retain(|(_, _, sequence, _)| *sequence <= at);
            assert_eq!(given, due);
        }
    }
}

struct World {
    log: Arc<Log>,
    processes: Vec<Process>,
    users: i64,
}

impl World {
    fn new() -> Self {
        let log = Arc::new(Log::default());
        let processes = (0..READERS).map(|_| Process::start(&log)).collect();
        Self {
            log,
            processes,
            users: 0,
        }
    }

    fn send(&mut self, frame: &Arc<Frame>) {
        for process in &mut self.processes {
            process.under_way.push(Arc::clone(frame));
        }
    }

    fn commit(&mut self, writer: WriterId, rows: usize) {
        let first = self.users + 1;
        self.users += i64::try_from(rows).unwrap();
        let frame = self.log.commit(writer, (first..=self.users).map(row).collect());
        self.send(&frame);
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Commit { writer, rows } => self.commit(WRITERS[writer], rows),
            Step::TakeOver { writer } => self.log.take_over(WRITERS[writer]),
            Step::Heartbeat { writer } => {
                let frame = self.log.heartbeat(WRITERS[writer]);
                self.send(&frame);
            }
            Step::Arrive { reader, which } => self.processes[reader].arrive(which, false),
            Step::Repeat { reader, which } => self.processes[reader].arrive(which, true),
            Step::Lose { reader, which } => {
                let under_way = &mut self.processes[reader].under_way;
                if !under_way.is_empty() {
                    under_way.remove(which % under_way.len());
                }
            }
            Step::Disconnect { reader } => self.processes[reader].under_way.clear(),
            Step::Restart { reader } => {
                // What was sent to it before may still reach it after.
                let under_way = std::mem::take(&mut self.processes[reader].under_way);
                self.processes[reader] = Process {
                    under_way,
                    ..Process::start(&self.log)
                };
            }
            Step::Ask { reader, writer } => self.processes[reader].reader.receiver.ask(WRITERS[writer]),
            Step::FailFetches { count } => self.log.failing.store(count, SeqCst),
            Step::Run { turns } => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Heartbeats reach everybody, and so does the log.
    async fn settle(&mut self) {
        for writer in WRITERS {
            let heartbeat = self.log.heartbeat(writer);
            for process in &self.processes {
                process.reader.receiver.receive(&heartbeat);
            }
        }
        for process in &self.processes {
            for writer in WRITERS {
                process.reader.reaches(writer, self.log.head(writer).1).await;
            }
            process.check(&self.log);
            assert_eq!(process.reader.receiver.readiness(), Readiness::Ready);
            assert_eq!(process.reader.caches_dropped.load(SeqCst), 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_a_reader_is_given_is_exactly_the_log(steps in prop::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for step in steps {
                world.take(step).await;
                for process in &world.processes {
                    process.check(&world.log);
                }
            }
            world.settle().await;
        });
    }
}

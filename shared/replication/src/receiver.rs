//! The one door through which frames enter a process.
//!
//! Gap check, rows applied to the store, position moves, sleepers wake: in this order, one frame at a time. What the receiver does to the store and where it
//! gets what it missed are functions it is given ([`Hooks`]), so its tests need no database.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use ::metrics::{counter, gauge};
use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use plexus_core::{
    position::{Epoch, Position, Sequence, WriterId},
    row::Frame,
};

use crate::{
    EPHEMERAL,
    chain::{Chain, Kind, Verdict},
    fill::{self, FillError, Updates},
    metrics,
    notifier::Notifier,
    tasks::Tasks,
    waiters::{Place, Waiters},
};

mod fault;
mod hooks;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

pub use self::fault::{Fault, Readiness};
pub(crate) use self::hooks::{Hooks, RoomsOf};

/// The receiver of one process.
#[derive(Debug)]
pub(crate) struct Receiver {
    hooks: Hooks,
    tasks: Tasks,
    pub(crate) notifier: Notifier,
    /// The position, for readers that must not wait for a frame being applied.
    position: ArcSwap<Position>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    readers: BTreeMap<WriterId, Reader>,
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Reader {
    chain: Chain,
    waiters: Waiters,
}

impl Reader {
    fn new(writer: WriterId, epoch: Epoch, at: Sequence) -> Self {
        Self {
            chain: Chain::new(kind(writer), epoch, at),
            waiters: Waiters::default(),
        }
    }
}

impl State {
    fn reader(&mut self, writer: WriterId) -> &mut Reader {
        self.readers.entry(writer).or_insert_with(|| Reader::new(writer, 0, 0))
    }
}

impl Receiver {
    /// A receiver that starts at the heads of the stored chains.
    pub(crate) fn new(hooks: Hooks, tasks: Tasks, heads: &[(WriterId, Epoch, Sequence)]) -> Arc<Self> {
        let mut position = Position::default();
        let mut state = State::default();
        for &(writer, epoch, at) in heads {
            position.advance(writer, at);
            state.readers.insert(writer, Reader::new(writer, epoch, at));
        }
        Arc::new(Self {
            hooks,
            tasks,
            notifier: Notifier::default(),
            position: ArcSwap::from_pointee(position),
            state: Mutex::new(state),
        })
    }

    /// Takes one frame from a transport: it may be late, repeated, out of order, or of a deposed writer.
    pub(crate) fn receive(self: &Arc<Self>, frame: &Arc<Frame>) {
        let mut state = self.lock();
        if state.fault.is_some() {
            return;
        }
        let reader = state.reader(frame.writer);
        if reader.chain.begins_anew(frame) {
            (self.hooks.forget_ephemeral)(frame.epoch);
            self.moved(reader, frame.writer);
        }
        let verdict = reader.chain.judge(frame);
        match verdict {
            Verdict::Next => self.apply_with_kept(reader, frame),
            Verdict::Late | Verdict::Deposed => {}
            Verdict::Gap => reader.chain.keep(Arc::clone(frame)),
            Verdict::Rewound => {
                let at = reader.chain.at;
                self.fail(
                    &mut state,
                    Fault::Rewound {
                        writer: frame.writer.0,
                        at,
                    },
                );
            }
        }
        count(verdict);
        self.fill_if_behind(&mut state, frame.writer);
    }

    /// Takes one answer to "what follows `after`?". Whether the reader got anywhere.
    pub(crate) fn take_updates(self: &Arc<Self>, writer: WriterId, frames: &[Arc<Frame>], updates: &Updates) -> bool {
        let mut state = self.lock();
        if state.fault.is_some() {
            return false;
        }
        let reader = state.reader(writer);
        let before = (reader.chain.at_epoch, reader.chain.at);
        reader.chain.hear_of(updates.head);
        if updates.whole && updates.head > before {
            self.begin_from_whole(reader, frames);
        }
        // The links decide, not the epochs: the stored chain runs through all of them.
        let mut broken = updates.too_old;
        for frame in frames {
            if frame.previous == reader.chain.at && frame.position > frame.previous {
                self.apply_with_kept(reader, frame);
            } else if frame.position > reader.chain.at {
                broken = true;
            }
        }
        if broken && !updates.whole && updates.head.1 > reader.chain.at {
            self.restart(reader, writer, updates.head);
        }
        report(writer, &reader.chain);
        before != (reader.chain.at_epoch, reader.chain.at)
    }

    /// Whether rows of a chain are known to be missing.
    pub(crate) fn is_behind(&self, writer: WriterId) -> bool {
        self.lock().reader(writer).chain.behind()
    }

    /// The place a fill starts from; `None`, and the fill is over, once nothing is missing any more.
    pub(crate) fn next_fill(&self, writer: WriterId) -> Option<Place> {
        let mut state = self.lock();
        let faulty = state.fault.is_some();
        let chain = &mut state.reader(writer).chain;
        let asked = std::mem::take(&mut chain.asked);
        if faulty || !(asked || chain.behind()) {
            chain.filling = false;
            return None;
        }
        Some((chain.at_epoch, chain.at))
    }

    /// Asks once what follows this process's place on a chain, known or not to be behind.
    pub(crate) fn ask(self: &Arc<Self>, writer: WriterId) {
        let mut state = self.lock();
        state.reader(writer).chain.asked = true;
        self.fill_if_behind(&mut state, writer);
    }

    /// Fetches one chain's updates, for the fill.
    pub(crate) fn fetch(&self, writer: WriterId, (epoch, at): Place) -> BoxFuture<'static, Result<Updates, FillError>> {
        (self.hooks.updates)(writer, epoch, at)
    }

    /// The row after this process's place on `writer`'s chain is of a kind it does not know.
    pub(crate) fn unknown_row(&self, writer: WriterId) {
        let mut state = self.lock();
        let at = state.reader(writer).chain.at;
        self.fail(&mut state, Fault::UnknownRow { writer: writer.0, at });
    }

    /// Applied here, on the stored chains.
    pub(crate) fn position(&self) -> Arc<Position> {
        self.position.load_full()
    }

    /// Applied here, on any one chain.
    pub(crate) fn place(&self, writer: WriterId) -> Place {
        let mut state = self.lock();
        let chain = &state.reader(writer).chain;
        (chain.at_epoch, chain.at)
    }

    /// Whether this process has reached a place on a chain, as waiters see it.
    pub(crate) fn has_reached(&self, writer: WriterId, place: Place) -> bool {
        match kind(writer) {
            Kind::Stored => self.position.load().get(writer) >= place.1,
            Kind::Ephemeral => self.place(writer) >= place,
        }
    }

    /// Whether a frame of this epoch that leads here would tell this process nothing.
    pub(crate) fn has_applied(&self, writer: WriterId, epoch: Epoch, position: Sequence) -> bool {
        self.place(writer) >= (epoch, position)
    }

    pub(crate) fn readiness(&self) -> Readiness {
        self.lock().fault.map_or(Readiness::Ready, Readiness::Faulty)
    }

    /// Whether there is such a chain, as far as this process knows. Names of chains come from outside too, and are not to be believed.
    pub(crate) fn knows(&self, writer: WriterId) -> bool {
        self.lock().readers.contains_key(&writer)
    }

    /// Waits until this process has reached a place on a chain.
    pub(crate) async fn reached(&self, writer: WriterId, place: Place) {
        let Some(waiting) = self.wait_for(writer, place) else {
            return;
        };
        waiting.done().await;
    }

    fn wait_for(&self, writer: WriterId, place: Place) -> Option<Waiting<'_>> {
        let mut state = self.lock();
        let reader = state.reader(writer);
        if progress(writer, &reader.chain) >= place {
            return None;
        }
        let (key, woken) = reader.waiters.add(place);
        Some(Waiting {
            receiver: self,
            writer,
            key,
            woken,
        })
    }

    fn apply_with_kept(&self, reader: &mut Reader, frame: &Arc<Frame>) {
        self.apply(reader, frame);
        while let Some(next) = reader.chain.take_kept() {
            self.apply(reader, &next);
        }
    }

    fn apply(&self, reader: &mut Reader, frame: &Frame) {
        for (sequence, row) in frame.numbered_rows() {
            (self.hooks.apply)(frame.writer, frame.epoch, sequence, row);
        }
        reader.chain.advance(frame);
        self.moved(reader, frame.writer);
        self.notifier.touch(&frame.rows, &*self.hooks.rooms_of);
    }

    /// The position moves and those who wait for it wake; the rows before it are applied by now.
    fn moved(&self, reader: &mut Reader, writer: WriterId) {
        if kind(writer) == Kind::Stored {
            let mut position = Position::clone(&self.position.load());
            position.advance(writer, reader.chain.at);
            self.position.store(Arc::new(position));
        }
        reader.waiters.wake(progress(writer, &reader.chain));
    }

    /// The chain no longer reaches back to this process: what it has cached may be anything.
    fn restart(&self, reader: &mut Reader, writer: WriterId, (epoch, at): Place) {
        tracing::warn!(
            log.writer = writer.0,
            log.from = reader.chain.at,
            log.to = at,
            "the log no longer reaches back to this process, dropping caches"
        );
        counter!(metrics::LOG_RESTARTS, "chain" => metrics::chain(writer)).increment(1);
        (self.hooks.drop_caches)();
        reader.chain.restart(epoch, at);
        self.moved(reader, writer);
        self.notifier.forget_rooms();
    }

    /// An ephemeral chain begins from its whole state: void what was known, and stand right before it.
    fn begin_from_whole(&self, reader: &mut Reader, frames: &[Arc<Frame>]) {
        let Some(first) = frames.first() else { return };
        (self.hooks.forget_ephemeral)(first.epoch);
        reader.chain.restart(first.epoch, first.previous);
        self.moved(reader, first.writer);
    }

    fn fail(&self, state: &mut State, fault: Fault) {
        if state.fault.is_some() {
            return;
        }
        tracing::error!(%fault, "this process cannot follow the log any more");
        state.fault = Some(fault);
        (self.hooks.drop_caches)();
        self.notifier.forget_rooms();
    }

    fn fill_if_behind(self: &Arc<Self>, state: &mut State, writer: WriterId) {
        let faulty = state.fault.is_some();
        let chain = &mut state.reader(writer).chain;
        report(writer, chain);
        if faulty || chain.filling || !(chain.asked || chain.behind()) {
            return;
        }
        chain.filling = true;
        self.tasks.spawn(fill::run(Arc::clone(self), writer));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while the chains are locked")
    }
}

/// A waiter that leaves when it is dropped.
struct Waiting<'a> {
    receiver: &'a Receiver,
    writer: WriterId,
    key: (Place, u64),
    woken: tokio::sync::oneshot::Receiver<()>,
}

impl Waiting<'_> {
    async fn done(mut self) {
        // The sender is dropped without a word only together with the receiver.
        let _ = (&mut self.woken).await;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.receiver.lock().reader(self.writer).waiters.remove(self.key);
    }
}

fn kind(writer: WriterId) -> Kind {
    if writer == EPHEMERAL {
        Kind::Ephemeral
    } else {
        Kind::Stored
    }
}

/// What waiters compare with: the epoch counts only where it begins a new numbering.
fn progress(writer: WriterId, chain: &Chain) -> Place {
    match kind(writer) {
        Kind::Stored => (0, chain.at),
        Kind::Ephemeral => (chain.at_epoch, chain.at),
    }
}

fn count(verdict: Verdict) {
    let outcome = match verdict {
        Verdict::Next => "applied",
        Verdict::Late => "late",
        Verdict::Deposed => "deposed",
        Verdict::Gap => "gap",
        Verdict::Rewound => "rewound",
    };
    counter!(metrics::LOG_FRAMES, "outcome" => outcome).increment(1);
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn report(writer: WriterId, chain: &Chain) {
    gauge!(metrics::LOG_POSITION, "chain" => metrics::chain(writer)).set(chain.at as f64);
    gauge!(metrics::LOG_LAG, "chain" => metrics::chain(writer)).set((chain.head - chain.at).max(0) as f64);
}

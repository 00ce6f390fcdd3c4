//! What a leading master does with its frames: this process first, then everybody else.
//!
//! Two tasks in a row, so that the sequencer waits for neither: one gives frames to the receiver of this process and releases the answers of their
//! Commands, the other encodes each frame once and hands it to the bus. Both end, after what they still have, when the publisher is dropped.

use std::{collections::BTreeMap, fmt, pin::Pin, sync::Arc, time::Duration};

use ::metrics::counter;
use bytes::Bytes;
use futures_util::{Stream, stream};
use plexus_core::{
    position::{Epoch, Sequence, WriterId},
    row::Frame,
};
use plexus_proto as proto;
use prost::Message;
use tokio::{
    sync::{broadcast, mpsc},
    time::{MissedTickBehavior, interval},
};
use tonic::Status;

use crate::{
    bus::{Bus, Outlet},
    frames, metrics,
    receiver::Receiver,
    tasks::Tasks,
};

/// Frames waiting for this process. A master that is ahead of its own caches by more waits.
const LOCAL_QUEUE_MAX: usize = 1024;
/// Frames waiting for the bus. More are dropped: readers fill the gap.
const WIRE_QUEUE_MAX: usize = 1024;
/// Frames given to the bus in one go.
const WIRE_BATCH_MAX: usize = 64;
/// Frames a `Subscribe` may be behind before it loses some.
const SUBSCRIBER_QUEUE_MAX: usize = 1024;
/// How often the heads are said when nothing happens. Readers count on one every second.
pub(crate) const HEARTBEAT_EVERY: Duration = Duration::from_millis(500);

/// The frames of `Subscribe`.
pub type FrameStream = Pin<Box<dyn Stream<Item = Result<proto::Frame, Status>> + Send>>;

/// The way out for the frames of one leadership.
pub struct Publisher {
    queue: mpsc::Sender<Published>,
    subscribers: broadcast::Sender<Arc<proto::Frame>>,
}

struct Published {
    frame: Arc<Frame>,
    then: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("queued", &(LOCAL_QUEUE_MAX - self.queue.capacity()))
            .finish_non_exhaustive()
    }
}

impl Publisher {
    /// Begins a leadership whose chains end here. The heads are said at once, so that every reader knows of the new epoch.
    pub(crate) fn start(
        receiver: Arc<Receiver>,
        bus: &Bus,
        tasks: &Tasks,
        heads: impl IntoIterator<Item = (WriterId, Epoch, Sequence)>,
    ) -> Self {
        let (queue, local) = mpsc::channel(LOCAL_QUEUE_MAX);
        let (to_wire, wire) = mpsc::channel(WIRE_QUEUE_MAX);
        let (subscribers, _) = broadcast::channel(SUBSCRIBER_QUEUE_MAX);
        let heads: BTreeMap<WriterId, Frame> = heads
            .into_iter()
            .map(|(writer, epoch, at)| (writer, heartbeat(writer, epoch, at)))
            .collect();
        for head in heads.values() {
            receiver.receive(&Arc::new(head.clone()));
        }
        let sender = Wire {
            heads,
            subscribers: subscribers.clone(),
            outlet: bus.outlet(),
            spoken: Vec::new(),
        };
        tasks.spawn_to_end(receive_locally(local, receiver, to_wire));
        tasks.spawn_to_end(sender.run(wire));
        Self { queue, subscribers }
    }

    /// Takes a committed frame; frames are published in the order of the calls. `then` runs once this process has applied it: what releases the answers
    /// belongs there. Waits only while this process is [`LOCAL_QUEUE_MAX`] frames behind.
    pub async fn publish(&self, frame: Arc<Frame>, then: impl FnOnce() + Send + 'static) {
        let published = Published {
            frame,
            then: Box::new(then),
        };
        if let Err(mpsc::error::SendError(published)) = self.queue.send(published).await {
            // The task is gone with the runtime; the commit stands, and so does its answer.
            (published.then)();
        }
    }

    /// Processes that subscribe at present.
    #[cfg(test)]
    pub(crate) fn subscriber_count(&self) -> usize {
        self.subscribers.receiver_count()
    }

    /// Every frame from now on, and heartbeats, for `Subscribe`.
    pub fn subscribe(&self) -> FrameStream {
        Box::pin(stream::unfold(self.subscribers.subscribe(), |mut frames| async {
            loop {
                match frames.recv().await {
                    Ok(frame) => return Some((Ok(proto::Frame::clone(&frame)), frames)),
                    // What is lost is a gap for the reader.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        }))
    }
}

async fn receive_locally(
    mut queue: mpsc::Receiver<Published>,
    receiver: Arc<Receiver>,
    wire: mpsc::Sender<Arc<Frame>>,
) {
    while let Some(Published { frame, then }) = queue.recv().await {
        receiver.receive(&frame);
        then();
        if wire.try_send(frame).is_err() {
            counter!(metrics::BUS_DROPPED).increment(1);
        }
    }
}

/// The second task: frames to other processes.
struct Wire {
    /// Where each chain ends, as far as has been said.
    heads: BTreeMap<WriterId, Frame>,
    subscribers: broadcast::Sender<Arc<proto::Frame>>,
    outlet: Option<Outlet>,
    /// What is about to be given to the outlet.
    spoken: Vec<Bytes>,
}

impl Wire {
    async fn run(mut self, mut queue: mpsc::Receiver<Arc<Frame>>) {
        let mut beat = interval(HEARTBEAT_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(WIRE_BATCH_MAX);
        loop {
            tokio::select! {
                count = queue.recv_many(&mut batch, WIRE_BATCH_MAX) => {
                    if count == 0 {
                        return;
                    }
                    for frame in batch.drain(..) {
                        self.heads.insert(frame.writer, frames::heartbeat_of(&frame));
                        self.say(&frame);
                    }
                }
                _ = beat.tick() => {
                    for head in self.heads.clone().values() {
                        self.say(head);
                    }
                }
            }
            if let Some(outlet) = &mut self.outlet {
                outlet.publish(std::mem::take(&mut self.spoken)).await;
            }
        }
    }

    /// Encodes a frame once, if anybody is there to hear it.
    fn say(&mut self, frame: &Frame) {
        let subscribed = self.subscribers.receiver_count() > 0;
        if self.outlet.is_none() && !subscribed {
            return;
        }
        let message = frames::published(frame);
        if self.outlet.is_some() {
            self.spoken.push(message.encode_to_vec().into());
        }
        if subscribed {
            // An error means that the last subscriber has just gone.
            let _ = self.subscribers.send(Arc::new(message));
        }
    }
}

fn heartbeat(writer: WriterId, epoch: Epoch, at: Sequence) -> Frame {
    Frame {
        writer,
        epoch,
        previous: at,
        position: at,
        rows: Vec::new(),
    }
}

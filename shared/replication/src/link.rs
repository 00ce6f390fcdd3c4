//! A process's two ends: the receiver, where the log comes in, and the way to the master, where Commands go out.

use std::{future::Future, sync::Arc, time::Duration};

use ::metrics::{counter, histogram};
use bytes::Bytes;
use plexus_core::position::{Epoch, Position, Sequence, WriterId};
use plexus_proto as proto;
use prost::Message;
use tokio::time::{Instant, timeout_at};

use crate::{
    EPHEMERAL,
    fill::Updates,
    frames,
    heads::Heads,
    master_client::{COMMAND_DEADLINE, MasterLink, MasterTarget},
    metrics,
    receiver::Receiver,
    status::MasterError,
    waiters::Place,
};

#[cfg(test)]
mod tests;

/// How long a reader that is behind waits for frames on their way before it asks for them.
const PATIENCE: Duration = Duration::from_millis(5);

/// This process has not come as far as it was asked to in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process has not reached the position in time")]
pub struct NotReached;

/// What a replica does apart from its store.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) master: Arc<MasterLink>,
    heads: Heads,
}

impl Link {
    pub(crate) fn new(receiver: Arc<Receiver>, master: Arc<MasterLink>) -> Self {
        Self {
            receiver,
            master,
            heads: Heads::default(),
        }
    }

    pub(crate) async fn reached(&self, position: &Position, deadline: Instant) -> Result<(), NotReached> {
        if self.receiver.position().has_reached(position) {
            return Ok(());
        }
        for (writer, sequence) in position.writers() {
            if !self.receiver.knows(writer) {
                return Err(NotReached);
            }
            self.reached_place(writer, (0, sequence), deadline).await?;
        }
        Ok(())
    }

    pub(crate) async fn head(&self) -> Result<Position, MasterError> {
        let deadline = Instant::now() + COMMAND_DEADLINE;
        let question = self.master.call(deadline, |mut client| {
            let request = self.master.request(proto::HeadRequest {});
            async move { client.head(request).await }
        });
        let head = self.heads.get(async { Ok(stored_head(&question.await?)) }).await?;
        self.reached(&head, deadline)
            .await
            .map_err(|NotReached| MasterError::Deadline)?;
        Ok(head)
    }

    pub(crate) async fn run(&self, command: proto::Command) -> Result<proto::CommandResult, MasterError> {
        let started = Instant::now();
        let kind = command.kind_name();
        let mut tries = 0_u64;
        let outcome = self.run_until(command, started + COMMAND_DEADLINE, &mut tries).await;
        let label = match &outcome {
            Ok(_) => "done",
            Err(MasterError::Matrix { .. }) => "refused",
            Err(MasterError::Unavailable) => "unavailable",
            Err(MasterError::Deadline) => "deadline",
        };
        histogram!(metrics::COMMAND_SECONDS, "command" => kind, "outcome" => label).record(started.elapsed());
        if tries > 1 {
            counter!(metrics::COMMAND_RETRIES, "command" => kind).increment(tries - 1);
        }
        outcome
    }

    async fn run_until(
        &self,
        command: proto::Command,
        deadline: Instant,
        tries: &mut u64,
    ) -> Result<proto::CommandResult, MasterError> {
        let done = self
            .master
            .call(deadline, |mut client| {
                *tries += 1;
                let request = self.master.request(command.clone());
                async move { client.run(request).await }
            })
            .await?;
        let writer = writer_id(done.writer)?;
        let place = if writer == EPHEMERAL {
            (done.epoch, done.position)
        } else {
            (0, done.position)
        };
        if !done.frame.is_empty() && !self.receiver.has_reached(writer, place) {
            self.offer(done.frame);
        }
        self.reached_place(writer, place, deadline)
            .await
            .map_err(|NotReached| MasterError::Deadline)?;
        Ok(done.result.unwrap_or_default())
    }

    /// Takes a frame as it came from a transport. Whether it could be read; a reader that lost one finds a gap.
    pub(crate) fn offer(&self, encoded: Bytes) -> bool {
        match proto::Frame::decode(encoded) {
            Ok(message) => self.offer_message(message),
            Err(error) => {
                tracing::warn!(%error, "a frame from a transport cannot be read");
                counter!(metrics::BUS_DROPPED).increment(1);
                false
            }
        }
    }

    /// The same for a frame that is already a message.
    pub(crate) fn offer_message(&self, message: proto::Frame) -> bool {
        let Ok(writer) = writer_id(message.writer) else {
            return false;
        };
        let in_this_process = matches!(*self.master.target_now(), MasterTarget::Here(_));
        // The leader's own process has received its frames before anybody else: spare it the reading.
        if in_this_process && self.receiver.has_applied(writer, message.epoch, message.position) {
            return true;
        }
        match frames::from_proto(message) {
            Ok(frame) => self.receiver.receive(&Arc::new(frame)),
            Err(error) => {
                // If it was real, the log has it, and the fill meets the same error there and acts on it.
                tracing::warn!(%error, "a frame from a transport cannot be used");
                counter!(metrics::BUS_DROPPED).increment(1);
                self.receiver.ask(writer);
            }
        }
        true
    }

    pub(crate) async fn reached_place(
        &self,
        writer: WriterId,
        place: Place,
        deadline: Instant,
    ) -> Result<(), NotReached> {
        if self.receiver.has_reached(writer, place) {
            return Ok(());
        }
        let patience = deadline.min(Instant::now() + PATIENCE);
        if timeout_at(patience, self.receiver.reached(writer, place)).await.is_ok() {
            return Ok(());
        }
        self.receiver.ask(writer);
        timeout_at(deadline, self.receiver.reached(writer, place))
            .await
            .map_err(|_| NotReached)
    }
}

/// What follows a place, from the master.
pub(crate) fn updates_from_master(
    master: &Arc<MasterLink>,
    writer: WriterId,
    epoch: Epoch,
    after: Sequence,
) -> impl Future<Output = Result<Updates, MasterError>> + Send + 'static {
    let master = Arc::clone(master);
    async move {
        let message = proto::UpdatesRequest {
            writer: writer.0.into(),
            epoch,
            after,
        };
        let deadline = Instant::now() + COMMAND_DEADLINE;
        let reply = master
            .call(deadline, |mut client| {
                let request = master.request(message);
                async move { client.updates(request).await }
            })
            .await?;
        let head = reply.head.unwrap_or_default();
        Ok(Updates {
            frames: reply.frames,
            too_old: reply.too_old,
            whole: reply.whole,
            head: (head.epoch, head.position),
        })
    }
}

fn writer_id(writer: u32) -> Result<WriterId, MasterError> {
    u16::try_from(writer)
        .map(WriterId)
        .map_err(|_| MasterError::Unavailable)
}

fn stored_head(reply: &proto::HeadReply) -> Position {
    let mut head = Position::default();
    for chain in &reply.chains {
        if let Some(writer) = u16::try_from(chain.writer)
            .ok()
            .map(WriterId)
            .filter(|writer| *writer != EPHEMERAL)
        {
            head.advance(writer, chain.position);
        }
    }
    head
}

//! The gRPC service: what workers ask of the master, in this process or in another.

use std::{sync::Arc, time::Instant};

use plexus_core::position::WriterId;
use plexus_proto::{
    ChainHead, Command, CommandDone, HeadReply, HeadRequest, SubscribeRequest, UpdatesReply, UpdatesRequest,
    master_server,
};
use plexus_replication::{EPHEMERAL, FrameStream, is_in_process, log_updates, matrix_status};
use plexus_storage::Store;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::{error::CommandError, leader::Leader, master::Term, metrics};

/// Answers while this process leads, and says "unavailable" while it does not.
#[derive(Clone, Debug)]
pub struct MasterService {
    leading: watch::Receiver<Option<Arc<Term>>>,
    store: Store,
}

impl MasterService {
    pub(crate) fn new(leading: watch::Receiver<Option<Arc<Term>>>, store: Store) -> Self {
        Self { leading, store }
    }

    /// The leader, whose lease is good at this moment. Only his word on where the log ends counts.
    fn leader(&self) -> Result<Arc<Leader>, Status> {
        let leading = self.leading.borrow();
        let term = leading.as_ref().filter(|term| term.is_good());
        term.map(|term| Arc::clone(&term.leader))
            .ok_or_else(|| CommandError::NotLeader.into())
    }
}

#[tonic::async_trait]
impl master_server::Master for MasterService {
    type SubscribeStream = FrameStream;

    async fn run(&self, request: Request<Command>) -> Result<Response<CommandDone>, Status> {
        let in_process = is_in_process(&request);
        let command = request.into_inner();
        let kind = command.kind_name();
        let started = Instant::now();
        let leader = self.leader()?;
        // A caller that goes away drops this future, and a Command must not be dropped half way.
        let running = leader.commands.spawn({
            let leader = Arc::clone(&leader);
            async move { leader.run(command).await }
        });
        let outcome = running.await.unwrap_or(Err(CommandError::NotLeader));
        metrics::command(
            kind,
            outcome.as_ref().map_or_else(CommandError::label, |_| "done"),
            started.elapsed(),
        );
        let mut done = outcome?;
        if in_process {
            // This process has applied the frame already.
            done.frame.clear();
        }
        Ok(Response::new(done))
    }

    async fn head(&self, _request: Request<HeadRequest>) -> Result<Response<HeadReply>, Status> {
        let leader = self.leader()?;
        let stored = ChainHead {
            writer: u32::from(WriterId::MASTER.0),
            epoch: leader.epoch,
            position: leader.replica.position().get(WriterId::MASTER),
        };
        Ok(Response::new(HeadReply {
            chains: vec![stored, leader.ephemeral.head()],
        }))
    }

    async fn updates(&self, request: Request<UpdatesRequest>) -> Result<Response<UpdatesReply>, Status> {
        let leader = self.leader()?;
        let request = request.into_inner();
        let writer = u16::try_from(request.writer).map_err(|_| Status::invalid_argument("writer"))?;
        let reply = if WriterId(writer) == EPHEMERAL {
            leader.ephemeral.updates(request.epoch, request.after)
        } else {
            log_updates(self.store.db(), WriterId(writer), request.after)
                .await
                .map_err(internal)?
        };
        Ok(Response::new(reply))
    }

    async fn subscribe(&self, _request: Request<SubscribeRequest>) -> Result<Response<FrameStream>, Status> {
        Ok(Response::new(self.leader()?.publisher.subscribe()))
    }
}

fn internal(error: impl std::error::Error) -> Status {
    tracing::error!(%error, "the master failed");
    Status::internal("internal error")
}

impl From<CommandError> for Status {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(error) => {
                matrix_status(u16::try_from(error.status).unwrap_or(500), &error.errcode, &error.error)
            }
            CommandError::NotLeader => Self::unavailable("this process does not lead"),
            CommandError::Busy => Self::resource_exhausted("too many commands are waiting"),
            CommandError::Malformed(what) => Self::invalid_argument(what),
            CommandError::Damaged(_) | CommandError::Poison | CommandError::Store(_) | CommandError::Event(_) => {
                internal(error)
            }
        }
    }
}

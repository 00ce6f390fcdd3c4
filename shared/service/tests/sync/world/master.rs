//! The master of these tests.

use std::sync::{Arc, Mutex};

use plexus_core::position::{Sequence, WriterId};
use plexus_proto::{self as proto, master_server::Master};
use tonic::{Request, Response, Status};

use super::EPOCH;

/// A master that only knows where the log ends.
pub(crate) struct HeadOnly(pub(crate) Arc<Mutex<Sequence>>);

#[tonic::async_trait]
impl Master for HeadOnly {
    type SubscribeStream = futures_util::stream::Pending<Result<proto::Frame, Status>>;

    async fn run(&self, _: Request<proto::Command>) -> Result<Response<proto::CommandDone>, Status> {
        Err(Status::unimplemented("no commands in these tests"))
    }

    async fn head(&self, _: Request<proto::HeadRequest>) -> Result<Response<proto::HeadReply>, Status> {
        let position = *self.0.lock().expect("not poisoned");
        let chain = proto::ChainHead {
            writer: WriterId::MASTER.0.into(),
            epoch: EPOCH,
            position,
        };
        Ok(Response::new(proto::HeadReply { chains: vec![chain] }))
    }

    async fn updates(&self, _: Request<proto::UpdatesRequest>) -> Result<Response<proto::UpdatesReply>, Status> {
        Err(Status::unimplemented("nothing is missing in these tests"))
    }

    async fn subscribe(&self, _: Request<proto::SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        Err(Status::unimplemented("frames are handed over in these tests"))
    }
}

//! A master that commits to a log in memory, and behaves as badly as a test wants.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use plexus_core::position::WriterId;
use plexus_proto::{self as proto, master_server::Master};
use tokio::{net::TcpListener, runtime::Runtime, sync::watch};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use super::{Log, PATIENCE_MAX, Reader, W1, row, tasks};
use crate::{
    FrameStream, MasterTarget, Publisher, Secret, frames, is_in_process, link::Link, master_client::MasterLink,
    master_server,
};

/// What the fake master does, shared by all handles.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    pub(crate) log: Arc<Log>,
    pub(crate) publisher: OnceLock<Publisher>,
    /// Ids of the Commands that came, in order, repeated ones too.
    pub(crate) came: Mutex<Vec<Bytes>>,
    pub(crate) in_process: AtomicUsize,
    /// So many Commands are refused as if nobody led.
    pub(crate) away: AtomicUsize,
    /// So many Commands are carried out without anybody being told.
    pub(crate) mute: AtomicUsize,
    /// Answers carry no frame, as those of stored results do.
    pub(crate) no_frames: AtomicBool,
    pub(crate) refuse: Mutex<Option<Status>>,
    done: Mutex<BTreeMap<Bytes, Arc<plexus_core::row::Frame>>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FakeMaster(pub(crate) Arc<Behaviour>);

fn take_one(count: &AtomicUsize) -> bool {
    count.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[tonic::async_trait]
impl Master for FakeMaster {
    type SubscribeStream = FrameStream;

    async fn run(&self, request: Request<proto::Command>) -> Result<Response<proto::CommandDone>, Status> {
        let this = &self.0;
        this.in_process.fetch_add(usize::from(is_in_process(&request)), SeqCst);
        let id = request.into_inner().id;
        this.came.lock().unwrap().push(id.clone());
        if take_one(&this.away) {
            return Err(Status::unavailable("the test says so"));
        }
        if let Some(status) = this.refuse.lock().unwrap().clone() {
            return Err(status);
        }
        let frame = {
            let mut done = this.done.lock().unwrap();
            Arc::clone(done.entry(id).or_insert_with(|| this.log.commit(W1, vec![row(1)])))
        };
        if take_one(&this.mute) {
            return std::future::pending().await;
        }
        if let Some(publisher) = this.publisher.get() {
            publisher.publish(Arc::clone(&frame), || ()).await;
        }
        let encoded = if this.no_frames.load(SeqCst) {
            Bytes::new()
        } else {
            frames::encode_stored(&frame)
        };
        let result = proto::CommandResult {
            event_id: Some(format!("${}", frame.position)),
            ..proto::CommandResult::default()
        };
        let writer = u32::from(W1.0);
        Ok(Response::new(proto::CommandDone {
            result: Some(result),
            frame: encoded,
            writer,
            position: frame.position,
            epoch: 0,
        }))
    }

    async fn head(&self, _: Request<proto::HeadRequest>) -> Result<Response<proto::HeadReply>, Status> {
        let (epoch, position) = self.0.log.head(W1);
        let chains = vec![proto::ChainHead {
            writer: W1.0.into(),
            epoch,
            position,
        }];
        Ok(Response::new(proto::HeadReply { chains }))
    }

    async fn updates(&self, request: Request<proto::UpdatesRequest>) -> Result<Response<proto::UpdatesReply>, Status> {
        let request = request.into_inner();
        let writer = WriterId(u16::try_from(request.writer).unwrap());
        let updates = self
            .0
            .log
            .updates(writer, request.after, 10)
            .map_err(|error| Status::internal(error.0))?;
        let head = proto::ChainHead {
            writer: request.writer,
            epoch: updates.head.0,
            position: updates.head.1,
        };
        let reply = proto::UpdatesReply {
            frames: updates.frames,
            too_old: updates.too_old,
            whole: false,
            head: Some(head),
        };
        Ok(Response::new(reply))
    }

    async fn subscribe(&self, _: Request<proto::SubscribeRequest>) -> Result<Response<FrameStream>, Status> {
        let publisher = self
            .0
            .publisher
            .get()
            .ok_or_else(|| Status::unavailable("nothing is published"))?;
        Ok(Response::new(publisher.subscribe()))
    }
}

/// A master served on a socket, by a runtime of its own so that it can be killed with all its connections.
pub(crate) struct Served {
    pub(crate) address: String,
    runtime: Option<Runtime>,
}

impl Served {
    pub(crate) fn start(master: &FakeMaster, secret: &str) -> Self {
        Self::start_at("127.0.0.1:0", master, secret)
    }

    pub(crate) fn start_at(address: &str, master: &FakeMaster, secret: &str) -> Self {
        let service = master_server(master.clone(), Secret::parse(secret).unwrap());
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.handle().spawn(async move {
            let incoming = TcpIncoming::from(TcpListener::from_std(listener).unwrap());
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await
        });
        Self {
            address,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn target(&self) -> MasterTarget {
        MasterTarget::At(self.address.clone())
    }

    /// Ends it in the middle of whatever it does, and returns once every connection is gone.
    pub(crate) async fn kill(mut self) {
        let runtime = self.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE_MAX))
            .await
            .unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A process: a reader of the log and a way to the master.
pub(crate) struct Process {
    pub(crate) reader: Reader,
    pub(crate) link: Arc<Link>,
    pub(crate) leader: watch::Sender<MasterTarget>,
}

impl Process {
    pub(crate) fn start(log: &Arc<Log>, leader: MasterTarget, secret: &str) -> Self {
        let reader = Reader::of(log);
        let (sender, target) = watch::channel(leader);
        let master = MasterLink::new(target, Some(Secret::parse(secret).unwrap()), tasks());
        let link = Arc::new(Link::new(Arc::clone(&reader.receiver), Arc::new(master)));
        Self {
            reader,
            link,
            leader: sender,
        }
    }

    pub(crate) fn at(&self) -> i64 {
        self.reader.receiver.position().get(W1)
    }
}

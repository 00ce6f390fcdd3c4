//! How a process reaches the master: tonic's generated client over the service itself, or over a channel to the leader's address.
//!
//! Callers see one client. Who leads comes through a `watch`, and a call under way when the leader changes is made again to the new one.

use std::{
    fmt,
    future::{self, Future},
    sync::Mutex,
    time::Duration,
};

use plexus_proto::{
    master_client::MasterClient,
    master_server::{Master, MasterServer},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tonic::{Request, Response, Status, body::Body, codegen::http, transport::Endpoint};
use tower::{ServiceExt, util::BoxCloneSyncService};

use crate::{
    secret::Secret,
    status::{MasterError, Refusal, refusal},
    tasks::Tasks,
};

/// How long a Command is tried.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(10);
/// Largest message between processes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Pause before a call is made again; doubles up to the other.
const RETRY_MIN: Duration = Duration::from_millis(5);
/// Longest pause between two tries.
const RETRY_MAX: Duration = Duration::from_millis(250);
/// How long connecting to the leader may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A leader that does not answer a ping for twice this time is as good as gone.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// The service behind the generated client. Its error is what tonic would make of any other.
pub type MasterService = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Status>;
pub(crate) type Client = MasterClient<MasterService>;

/// Where the leader is.
#[derive(Clone, Debug, Default)]
pub enum MasterTarget {
    /// Nobody leads, as far as this process knows.
    #[default]
    Nobody,
    /// In this process.
    Here(MasterService),
    /// At an internal address, `host:port`.
    At(String),
}

/// Marks a request that did not leave the process.
#[derive(Clone, Copy, Debug)]
struct InProcess;

impl MasterTarget {
    /// The master in this process.
    pub fn here<M: Master>(master: M) -> Self {
        let server = MasterServer::new(master)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
            .map_request(|mut request: http::Request<Body>| {
                request.extensions_mut().insert(InProcess);
                request
            })
            .map_err(|never| match never {});
        Self::Here(BoxCloneSyncService::new(server))
    }
}

/// Whether a request to the master's service comes from its own process, which receives every frame before the answer: the answer needs none.
pub fn is_in_process<T>(request: &Request<T>) -> bool {
    request.extensions().get::<InProcess>().is_some()
}

/// The way to the master.
pub(crate) struct MasterLink {
    target: watch::Receiver<MasterTarget>,
    secret: Option<Secret>,
    tasks: Tasks,
    /// The client of the address last asked for.
    remote: Mutex<Option<(String, Client)>>,
}

impl fmt::Debug for MasterLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterLink")
            .field("target", &*self.target.borrow())
            .finish_non_exhaustive()
    }
}

impl MasterLink {
    pub(crate) fn new(target: watch::Receiver<MasterTarget>, secret: Option<Secret>, tasks: Tasks) -> Self {
        Self {
            target,
            secret,
            tasks,
            remote: Mutex::new(None),
        }
    }

    /// Follows who leads.
    pub(crate) fn target(&self) -> watch::Receiver<MasterTarget> {
        self.target.clone()
    }

    /// Who leads now.
    pub(crate) fn target_now(&self) -> watch::Ref<'_, MasterTarget> {
        self.target.borrow()
    }

    /// A request with what every call carries.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(secret) = &self.secret {
            secret.attach(&mut request);
        }
        request
    }

    /// Calls the leader, again and again while it is away, until `deadline`.
    pub(crate) async fn call<T, F>(
        &self,
        deadline: Instant,
        mut call: impl FnMut(Client) -> F,
    ) -> Result<T, MasterError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut tries = 0_u32;
        let mut away = true;
        let trying = async {
            let mut target = self.target.clone();
            loop {
                let client = self.client(&target.borrow_and_update().clone());
                away = client.is_none();
                let answer = tokio::select! {
                    biased;
                    answer = async { call(client?).await.into() } => answer,
                    () = changed(&mut target) => continue,
                };
                away = true;
                match answer {
                    Some(Ok(response)) => return Ok(response.into_inner()),
                    Some(Err(status)) => {
                        if let Refusal::Final(error) = refusal(&status) {
                            return Err(error);
                        }
                    }
                    None => {}
                }
                let pause = (RETRY_MIN * 2_u32.saturating_pow(tries)).min(RETRY_MAX);
                tries += 1;
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = changed(&mut target) => {}
                }
            }
        };
        let outcome = timeout_at(deadline, trying).await;
        outcome.unwrap_or(Err(if away {
            MasterError::Unavailable
        } else {
            MasterError::Deadline
        }))
    }

    /// A client of the leader, if somebody leads and his address is one.
    pub(crate) fn client(&self, target: &MasterTarget) -> Option<Client> {
        match target {
            MasterTarget::Nobody => None,
            MasterTarget::Here(service) => Some(MasterClient::new(service.clone())),
            MasterTarget::At(address) => self.remote_client(address),
        }
    }

    fn remote_client(&self, address: &str) -> Option<Client> {
        let mut remote = self.remote.lock().expect("nothing panics while the client is locked");
        if let Some((_, client)) = remote.as_ref().filter(|(known, _)| known == address) {
            return Some(client.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .inspect_err(|error| tracing::error!(%error, "the leader's address is not one"))
            .ok()?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        // The connection lives on the runtime that outlives the caller's.
        let channel = self.tasks.enter(|| endpoint.connect_lazy());
        let service = BoxCloneSyncService::new(channel.map_err(|error| Status::from_error(Box::new(error))));
        let client = MasterClient::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        *remote = Some((address.to_owned(), client.clone()));
        Some(client)
    }
}

/// Waits until somebody else leads; for ever if nobody will say.
pub(crate) async fn changed(target: &mut watch::Receiver<MasterTarget>) {
    if target.changed().await.is_err() {
        future::pending::<()>().await;
    }
}

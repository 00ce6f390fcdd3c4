//! What a worker is to the master: one who brings Commands, with the secret of the deployment.

use plexus_proto::{
    ChangeMembership, Command, CommandResult, change_membership::Action, command::Kind, master_client::MasterClient,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::{
    eventually::{PATIENCE, eventually},
    replicas::Replicas,
    user::User,
};

/// The metadata key of the secret.
const SECRET: &str = "plexus-secret";

/// Largest message between processes.
const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// The way to the masters of a cluster, whichever of them leads.
#[derive(Clone, Debug)]
pub struct Worker {
    masters: Vec<MasterClient<Channel>>,
    secret: MetadataValue<Ascii>,
    replicas: Option<Replicas>,
}

impl Worker {
    /// Must be called on the runtime that will make the calls.
    pub(crate) fn new(ports: impl Iterator<Item = u16>, secret: &str, replicas: Option<Replicas>) -> Self {
        let connect = |port: u16| {
            let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"));
            let channel = endpoint.expect("an address is a URL").connect_lazy();
            MasterClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX)
        };
        Self {
            masters: ports.map(connect).collect(),
            secret: secret.parse().expect("the secret is visible ASCII"),
            replicas,
        }
    }

    /// Runs a Command, again and again while nobody leads: with the same id, as workers do.
    pub async fn run(&self, kind: Kind) -> CommandResult {
        let command = Command {
            id: rand::random::<[u8; 16]>().to_vec().into(),
            kind: Some(kind),
            task: None,
        };
        let result = eventually(2 * PATIENCE, "a master to run a command", async || {
            let mut why = "there is no master".to_owned();
            for master in &self.masters {
                match self.try_run(master.clone(), command.clone()).await {
                    Ok(result) => return Ok(result),
                    Err(status) => why = status.to_string(),
                }
            }
            Err(why)
        })
        .await;
        if let Some(replicas) = &self.replicas {
            replicas.wrote();
        }
        result
    }

    /// Lets a user of the server join a room that it has only been told of: its members are not there to be asked.
    pub async fn join(&self, room: &str, user: &User) {
        let join = ChangeMembership {
            room_id: room.to_owned(),
            sender: user.id.clone(),
            target: user.id.clone(),
            action: Action::Join.into(),
            ..ChangeMembership::default()
        };
        self.run(Kind::ChangeMembership(join)).await;
    }

    async fn try_run(&self, mut master: MasterClient<Channel>, command: Command) -> Result<CommandResult, Status> {
        let mut request = Request::new(command);
        request.metadata_mut().insert(SECRET, self.secret.clone());
        let done = master.run(request).await?.into_inner();
        Ok(done.result.unwrap_or_default())
    }
}

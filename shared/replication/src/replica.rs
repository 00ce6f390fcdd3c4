//! One process's view of the log.

use std::{future::Future, sync::Arc};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::{Epoch, Position, Sequence, WriterId},
    row::Frame,
};
use plexus_proto as proto;
use plexus_storage::{
    Store,
    db::{Database, DbError},
    log,
};
use tokio::{sync::watch, time::Instant};

use crate::{
    EPHEMERAL,
    bus::Bus,
    fill::{FillError, Updates},
    link::{self, Link, NotReached},
    master_client::{MasterLink, MasterTarget},
    notifier::Listener,
    publisher::Publisher,
    receiver::{Hooks, Readiness, Receiver},
    secret::Secret,
    status::MasterError,
    tasks::Tasks,
};

#[cfg(test)]
mod tests;

/// The writers whose chains are in the database. One, until rooms are sharded.
const STORED_WRITERS: [WriterId; 1] = [WriterId::MASTER];
/// Frames read from the log in one go.
const UPDATES_FRAMES_MAX: i64 = 256;

/// What a replica is made of.
#[derive(Debug)]
pub struct ReplicaParts {
    /// Whose caches the log corrects.
    pub store: Store,
    /// How frames come from other processes.
    pub bus: Bus,
    /// Who leads; the sender belongs to whoever watches the lease.
    pub master: watch::Receiver<MasterTarget>,
    /// What other processes want to see. Without one, only a master in this process can be reached.
    pub secret: Option<Secret>,
    /// Where background tasks run.
    pub tasks: Tasks,
}

/// The log cannot be read at the start.
#[derive(Debug, thiserror::Error)]
#[error("cannot read where the log ends")]
pub struct StartError(#[from] DbError);

/// One process's view of the log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Replica(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    link: Arc<Link>,
    bus: Bus,
    tasks: Tasks,
}

impl Replica {
    /// Starts at the head of the log, with caches that hold nothing, and follows it from there.
    pub async fn start(parts: ReplicaParts) -> Result<Self, StartError> {
        let ReplicaParts {
            store,
            bus,
            master,
            secret,
            tasks,
        } = parts;
        let mut heads = Vec::with_capacity(STORED_WRITERS.len());
        for writer in STORED_WRITERS {
            let head = log::head(store.db(), writer).await?;
            heads.push(head.map_or((writer, 0, 0), |head| (writer, head.epoch, head.position)));
        }
        let master = Arc::new(MasterLink::new(master, secret, tasks.clone()));
        let receiver = Receiver::new(hooks(&store, &master), tasks.clone(), &heads);
        let link = Arc::new(Link::new(receiver, master));
        bus.listen(&link, &tasks);
        Ok(Self(Arc::new(Inner {
            store,
            link,
            bus,
            tasks,
        })))
    }

    /// What the database holds.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Applied here, on the stored chains.
    pub fn position(&self) -> Position {
        Position::clone(&self.0.link.receiver.position())
    }

    /// Applied here, on the ephemeral chain.
    pub fn ephemeral(&self) -> (Epoch, Sequence) {
        self.0.link.receiver.place(EPHEMERAL)
    }

    /// Waits until this process has reached `position`. Asks for what is missing, once, when waiting a moment does not help.
    pub async fn reached(&self, position: &Position, deadline: Instant) -> Result<(), NotReached> {
        self.0.link.reached(position, deadline).await
    }

    /// The head as the master confirms it after this call, once this process has reached it.
    pub async fn head(&self) -> Result<Position, MasterError> {
        self.0.link.head().await
    }

    /// Has the master run a Command, and returns once this process has reached what it did. While the master is away it is sent again with the same id.
    pub async fn run(&self, command: proto::Command) -> Result<proto::CommandResult, MasterError> {
        self.0.link.run(command).await
    }

    /// Takes one frame from any transport.
    pub fn receive(&self, frame: &Arc<Frame>) {
        self.0.link.receiver.receive(frame);
    }

    /// Listens for rows that touch a user or the rooms he is joined to. `joined` loads these; it is awaited only for a user who has not listened lately.
    pub async fn listen<R, E>(&self, user: UserNid, joined: impl Future<Output = Result<R, E>>) -> Result<Listener, E>
    where
        R: IntoIterator<Item = RoomNid>,
    {
        self.0.link.receiver.notifier.listen(user, joined).await
    }

    /// Whether this process may be sent requests.
    pub fn readiness(&self) -> Readiness {
        self.0.link.receiver.readiness()
    }

    /// Begins a leadership in this process: the way out for its frames. `heads` are where its chains end, the ephemeral one too, in its epoch.
    pub fn lead(&self, heads: impl IntoIterator<Item = (WriterId, Epoch, Sequence)>) -> Publisher {
        Publisher::start(Arc::clone(&self.0.link.receiver), &self.0.bus, &self.0.tasks, heads)
    }
}

/// What follows a place on a stored chain: the master's answer to `Updates`.
pub async fn log_updates(db: &Database, writer: WriterId, after: Sequence) -> Result<proto::UpdatesReply, DbError> {
    let updates = stored_updates(db, writer, after).await?;
    let (epoch, position) = updates.head;
    Ok(proto::UpdatesReply {
        frames: updates.frames,
        too_old: updates.too_old,
        head: Some(proto::ChainHead {
            writer: writer.0.into(),
            epoch,
            position,
        }),
        whole: false,
    })
}

async fn stored_updates(db: &Database, writer: WriterId, after: Sequence) -> Result<Updates, DbError> {
    // The head first: what is committed before it is read is found below, so that a frame which is not found is a frame that is gone.
    let head = log::head(db, writer)
        .await?
        .map_or((0, 0), |head| (head.epoch, head.position));
    let stored = log::frames_after(db, writer, after, UPDATES_FRAMES_MAX).await?;
    let too_old = stored.first().map_or(head.1 > after, |first| first.previous != after);
    let frames = stored.into_iter().map(|stored| stored.frame).collect();
    Ok(Updates {
        frames,
        too_old,
        whole: false,
        head,
    })
}

fn hooks(store: &Store, master: &Arc<MasterLink>) -> Hooks {
    let (applied, dropped, forgotten, known) = (store.clone(), store.clone(), store.clone(), store.clone());
    let (db, master) = (store.db().clone(), Arc::clone(master));
    Hooks {
        apply: Box::new(move |writer, epoch, sequence, row| applied.apply(writer, epoch, sequence, row)),
        drop_caches: Box::new(move || dropped.drop_mutable_caches()),
        forget_ephemeral: Box::new(move |epoch| forgotten.enter_ephemeral_epoch(epoch)),
        rooms_of: Box::new(move |user| known.kept_joined_rooms(user)),
        updates: Box::new(move |writer, epoch, after| {
            let (db, master) = (db.clone(), Arc::clone(&master));
            Box::pin(async move {
                if writer == EPHEMERAL {
                    let updates = link::updates_from_master(&master, writer, epoch, after).await;
                    updates.map_err(|error| FillError(error.to_string()))
                } else {
                    stored_updates(&db, writer, after)
                        .await
                        .map_err(|error| FillError(error.to_string()))
                }
            })
        }),
    }
}

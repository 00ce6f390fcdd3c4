//! A master's time in office: everything that exists only while this process holds the lease.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use plexus_core::{
    event::SigningKey,
    position::{Epoch, Sequence, WriterId},
};
use plexus_proto::{Command, CommandDone, CommandResult, command::Kind};
use plexus_replication::{Clock, EPHEMERAL, Publisher, Replica};
use plexus_storage::{Store, commands, log, nids::next_nids, tasks::Task};
use prost::Message as _;
use ruma::OwnedServerName;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    decide::{self, Decision},
    ephemeral::{self, Ephemeral},
    error::CommandError,
    intern::Interner,
    lanes::Lanes,
    prune,
    recent::{Recent, Seen},
    resolve::Resolver,
    sequencer::{Sequencer, SequencerHandle},
    tasks,
};

/// Bytes of a Command's id.
const COMMAND_ID_BYTES: usize = 16;
/// How long a leader that steps down waits for what it has begun.
const WIND_DOWN: Duration = Duration::from_secs(5);

/// Who a master is, the same in every term.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The server's name, in the ids of its users and rooms.
    pub server_name: OwnedServerName,
    /// The key its events are signed with.
    pub signing_key: Arc<SigningKey>,
    /// The time.
    pub clock: Clock,
}

/// What a leader works with.
#[derive(Debug)]
pub(crate) struct Leader {
    pub(crate) store: Store,
    pub(crate) interner: Interner,
    pub(crate) sequencer: SequencerHandle,
    pub(crate) lanes: Lanes,
    pub(crate) ephemeral: Ephemeral,
    pub(crate) resolver: Resolver,
    /// What runs for the whole term: the lanes, the sequencer, the sweepers.
    pub(crate) tasks: TaskTracker,
    /// The Commands under way.
    pub(crate) commands: TaskTracker,
    pub(crate) deposed: CancellationToken,
    pub(crate) clock: Clock,
    pub(crate) signing_key: Arc<SigningKey>,
    pub(crate) server_name: OwnedServerName,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) replica: Replica,
    pub(crate) epoch: Epoch,
    /// Told when a commit has added to `tasks`.
    pub(crate) task_added: Notify,
    recent: Mutex<Recent>,
    next_task: AtomicI64,
}

impl Leader {
    /// Takes the chain over from the leader before: from here on, nothing that one does can commit.
    pub(crate) async fn start(identity: &Identity, replica: &Replica, epoch: Epoch) -> Result<Arc<Self>, CommandError> {
        let writer_id = WriterId::MASTER;
        let store = replica.store().clone();
        let head = take_over(&store, writer_id, epoch).await?;
        let next = next_nids(store.db()).await?;
        let writer = store.db().writer().await?;
        let (sequencer, queue) = Sequencer::queue();
        // Before the new term begins here, which voids what was known.
        let ephemeral = Ephemeral::new(epoch, store.presences());
        let begin = ephemeral.head().position;
        let publisher = Arc::new(replica.lead([(writer_id, epoch, head), (EPHEMERAL, epoch, begin)]));
        let leader = Arc::new(Self {
            interner: Interner::new(store.clone(), next),
            sequencer,
            lanes: Lanes::default(),
            resolver: Resolver::default(),
            ephemeral,
            tasks: TaskTracker::new(),
            commands: TaskTracker::new(),
            deposed: CancellationToken::new(),
            clock: identity.clock.clone(),
            signing_key: Arc::clone(&identity.signing_key),
            server_name: identity.server_name.clone(),
            publisher: Arc::clone(&publisher),
            replica: replica.clone(),
            epoch,
            task_added: Notify::new(),
            recent: Mutex::default(),
            next_task: next.task.into(),
            store: store.clone(),
        });
        let sequencer = Sequencer {
            store,
            writer,
            publisher,
            clock: identity.clock.clone(),
            writer_id,
            epoch,
            head,
        };
        leader.tasks.spawn(sequencer.run(queue, leader.deposed.clone()));
        leader.tasks.spawn(tasks::run(Arc::clone(&leader)));
        leader.tasks.spawn(prune::run(Arc::clone(&leader)));
        leader.tasks.spawn(ephemeral::sweep(Arc::clone(&leader)));
        Ok(leader)
    }

    /// Ends the term, once the Commands under way are done. Nobody may begin one any more.
    pub(crate) async fn stop(&self) {
        self.commands.close();
        tokio::select! {
            () = self.commands.wait() => {}
            () = self.deposed.cancelled() => {}
            () = tokio::time::sleep(WIND_DOWN) => tracing::warn!("commands were still running when the term ended"),
        }
        self.deposed.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Runs a Command, or returns the result it had before.
    pub(crate) async fn run(self: &Arc<Self>, command: Command) -> Result<CommandDone, CommandError> {
        if command.id.len() != COMMAND_ID_BYTES {
            return Err(CommandError::Malformed("id"));
        }
        let Some(lane) = decide::lane_of(&command)? else {
            return self.run_ephemeral(&command).await;
        };
        if let Some(Kind::SendEvent(send)) = &command.kind {
            self.ephemeral.note_activity(self, &send.sender).await;
        }
        let id = command.id.clone();
        loop {
            let seen = self.recent.lock().unwrap_or_else(PoisonError::into_inner).begin(&id);
            match seen {
                Seen::Done(done) => return Ok(done),
                Seen::Running(mut ended) => {
                    // An error means that it has ended.
                    let _ = ended.changed().await;
                }
                Seen::New => {
                    let done = self.lanes.run(self, lane, command).await;
                    self.recent
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .end(&id, done.as_ref().ok());
                    return done;
                }
            }
        }
    }

    async fn run_ephemeral(self: &Arc<Self>, command: &Command) -> Result<CommandDone, CommandError> {
        match &command.kind {
            Some(Kind::SetTyping(set)) => self.ephemeral.set_typing(self, set).await,
            Some(Kind::SetPresence(set)) => self.ephemeral.set_presence(self, set).await,
            Some(Kind::SetRemotePresence(set)) => self.ephemeral.set_remote_presence(self, set).await,
            _ => Err(CommandError::Malformed("a command without a lane")),
        }
    }

    /// The stored result of a Command that was committed before.
    pub(crate) async fn stored_result(&self, id: &Bytes) -> Result<Option<CommandDone>, CommandError> {
        let Some((position, result)) = commands::get(self.store.db(), id).await? else {
            return Ok(None);
        };
        let result = CommandResult::decode(result).map_err(|_| CommandError::Damaged("a command's result"))?;
        Ok(Some(done_at(position, result)))
    }

    /// Adds the Command's result to what it commits, so that a retry finds it.
    pub(crate) fn remember_result(&self, command: &Command, decision: &mut Decision) {
        let last_row = plexus_storage::db::Value::SequenceOf(decision.change.rows.len() - 1);
        let result = decision.result.encode_to_vec();
        let statement = commands::insert(&command.id, last_row, self.clock.now_ms(), &result);
        decision.change.statements.push(statement);
    }

    /// The answer to a Command that had nothing to change.
    pub(crate) fn nothing_changed(&self, result: CommandResult) -> CommandDone {
        done_at(self.replica.position().get(WriterId::MASTER), result)
    }

    /// A follow-up Command, to be written to `tasks` with the change that asks for it.
    pub(crate) fn new_task(&self, kind: Kind) -> Task {
        self.new_task_after(kind, 0)
    }

    /// The same, not to be done before `wait_ms` have passed.
    pub(crate) fn new_task_after(&self, kind: Kind, wait_ms: i64) -> Task {
        let id = self.next_task.fetch_add(1, Ordering::Relaxed);
        let command = Command {
            id: random_id(),
            kind: Some(kind),
            task: Some(id),
        };
        Task {
            id,
            due_ms: self.clock.now_ms() + wait_ms,
            command: command.encode_to_vec().into(),
        }
    }

    /// The unique part of an event id in room versions 1 and 2.
    #[expect(clippy::unused_self, reason = "randomness is the leader's to give")]
    pub(crate) fn new_event_localpart(&self) -> String {
        format!("{:032x}", rand::random::<u128>())
    }
}

/// An answer without a frame: whoever gets it asks for what he missed.
fn done_at(position: Sequence, result: CommandResult) -> CommandDone {
    let writer = u32::from(WriterId::MASTER.0);
    CommandDone {
        result: Some(result),
        frame: Bytes::new(),
        writer,
        position,
        epoch: 0,
    }
}

/// Makes the chain this epoch's, and says where it ends.
async fn take_over(store: &Store, writer: WriterId, epoch: Epoch) -> Result<Sequence, CommandError> {
    if !log::take_over(store.db(), writer, epoch).await? {
        return Err(CommandError::NotLeader);
    }
    let head = log::head(store.db(), writer).await?;
    head.map(|head| head.position)
        .ok_or(CommandError::Damaged("no head of the log"))
}

fn random_id() -> Bytes {
    Bytes::copy_from_slice(&rand::random::<[u8; COMMAND_ID_BYTES]>())
}

//! The ephemeral chain: who is typing and who is there, in memory only.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::{Epoch, Sequence},
    row::{Frame, Membership, PresenceRow, PresenceState},
};
use plexus_proto::{ChainHead, CommandDone, CommandResult, SetPresence, SetRemotePresence, SetTyping, UpdatesReply};
use plexus_replication::EphemeralRing;
use ruma::{RoomId, UserId};
use tokio::{sync::watch, time::Instant};

use crate::{
    error::{CommandError, bad_json, outsider},
    leader::Leader,
    presence::{Presence, Word},
    typing::{TIMEOUT_MAX, Typists},
};

/// How often those are looked for who have stopped typing or gone without saying so, and what has gathered is told.
const SWEEP: Duration = Duration::from_secs(1);
/// Longest that a word on presence holds: the longest wait of a sync, and a pause after it.
const HOLD_MAX: Duration = Duration::from_secs(360);
/// Longest that a user who says how he is waits until others can read it.
const TOLD_WITHIN: Duration = Duration::from_secs(3);
/// Largest status message.
const STATUS_BYTES_MAX: usize = 256;

/// What is known only while this process leads, and the chain that tells of it.
#[derive(Debug)]
pub(crate) struct Ephemeral {
    state: Mutex<State>,
    /// Moves whenever presence has been told.
    told: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    ring: EphemeralRing,
    typists: Typists,
    presence: Presence,
}

impl Ephemeral {
    /// Begins a term. Who was there in the term before is there until the time is over in which his device says so again.
    pub(crate) fn new(epoch: Epoch, before: Vec<PresenceRow>) -> Self {
        let mut ring = EphemeralRing::new(epoch);
        let presence = Presence::taken_over(&before, Instant::now());
        ring.set_presence(before);
        let state = State {
            ring,
            typists: Typists::default(),
            presence,
        };
        Self {
            state: Mutex::new(state),
            told: watch::Sender::new(()),
        }
    }

    /// A member types, or stops.
    pub(crate) async fn set_typing(&self, leader: &Leader, command: &SetTyping) -> Result<CommandDone, CommandError> {
        let (room, user) = member(leader, command).await?;
        let timeout = Duration::from_millis(command.timeout_ms.into()).min(TIMEOUT_MAX);
        let frame = {
            let State { ring, typists, .. } = &mut *self.lock();
            let users = typists.set(room, user, timeout);
            users.map(|users| ring.set_typing(room, users))
        };
        publish(leader, frame).await;
        Ok(self.done())
    }

    /// A user says how he is, or a device of his syncs. Who says it himself is answered once others can read it.
    pub(crate) async fn set_presence(
        &self,
        leader: &Leader,
        command: &SetPresence,
    ) -> Result<CommandDone, CommandError> {
        let user_id = <&UserId>::try_from(command.user_id.as_str()).map_err(|_| CommandError::Malformed("user_id"))?;
        let user = leader.store.user_nid(user_id).await?.ok_or_else(outsider)?;
        let state = PresenceState::from_code(command.state).ok_or(CommandError::Malformed("state"))?;
        if command
            .status_msg
            .as_ref()
            .is_some_and(|text| text.len() > STATUS_BYTES_MAX)
        {
            return Err(bad_json("status_msg is longer than 256 bytes"));
        }
        let word = Word {
            device: &command.device_id,
            state,
            hold: Duration::from_millis(command.hold_ms.into()).min(HOLD_MAX),
            said: command.explicit.then(|| command.status_msg.clone()),
        };
        let mut told = self.told.subscribe();
        let now = Instant::now();
        let frame = {
            let State { ring, presence, .. } = &mut *self.lock();
            presence.hear(user, &word, ring.presence(user), now, leader.clock.now_ms());
            ring.set_presence(presence.take_due(now))
        };
        self.publish_presence(leader, frame).await;
        if command.explicit {
            let seen = async { while self.is_untold(user) && told.changed().await.is_ok() {} };
            // Whoever waits longer is answered all the same: it is said, and will be told.
            let _ = tokio::time::timeout(TOLD_WITHIN, seen).await;
        }
        Ok(self.done())
    }

    /// Other servers say how users of theirs are. Who is not known here is passed over.
    pub(crate) async fn set_remote_presence(
        &self,
        leader: &Leader,
        command: &SetRemotePresence,
    ) -> Result<CommandDone, CommandError> {
        let mut heard = Vec::with_capacity(command.users.len());
        for said in &command.users {
            let user_id = <&UserId>::try_from(said.user_id.as_str()).map_err(|_| CommandError::Malformed("user_id"))?;
            let state = PresenceState::from_code(said.state).ok_or(CommandError::Malformed("state"))?;
            let is_remote = user_id.server_name() != leader.server_name;
            if let Some(user) = leader.store.user_nid(user_id).await?.filter(|_| is_remote) {
                let row = PresenceRow {
                    user,
                    state,
                    status_msg: said.status_msg.clone(),
                    last_active_ms: said.last_active_ms,
                    currently_active: said.currently_active,
                };
                heard.push(row);
            }
        }
        let now = Instant::now();
        let frame = {
            let State { ring, presence, .. } = &mut *self.lock();
            for row in heard {
                let before = ring.presence(row.user).cloned();
                presence.hear_from_server(row, before.as_ref(), now);
            }
            ring.set_presence(presence.take_due(now))
        };
        self.publish_presence(leader, frame).await;
        Ok(self.done())
    }

    /// A user did something: he is not idle.
    pub(crate) async fn note_activity(&self, leader: &Leader, user_id: &str) {
        if self.lock().presence.is_empty() {
            return;
        }
        let Ok(user_id) = <&UserId>::try_from(user_id) else {
            return;
        };
        if let Ok(Some(user)) = leader.store.user_nid(user_id).await {
            self.lock().presence.act(user, Instant::now(), leader.clock.now_ms());
        }
    }

    /// Where the chain ends.
    pub(crate) fn head(&self) -> ChainHead {
        self.lock().ring.chain_head()
    }

    /// What a reader has missed.
    pub(crate) fn updates(&self, epoch: Epoch, after: Sequence) -> UpdatesReply {
        self.lock().ring.updates(epoch, after)
    }

    async fn publish_presence(&self, leader: &Leader, frame: Option<Arc<Frame>>) {
        if frame.is_some() {
            publish(leader, frame).await;
            self.told.send_replace(());
        }
    }

    fn is_untold(&self, user: UserNid) -> bool {
        self.lock().presence.is_untold(user)
    }

    fn done(&self) -> CommandDone {
        let head = self.head();
        CommandDone {
            result: Some(CommandResult::default()),
            writer: head.writer,
            position: head.position,
            epoch: head.epoch,
            ..CommandDone::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends what has had its time.
    fn sweep(&mut self, now: Instant) -> (Vec<Arc<Frame>>, Option<Arc<Frame>>) {
        let Self {
            ring,
            typists,
            presence,
        } = self;
        let typing = typists.expire(now);
        let typing = typing.into_iter().map(|(room, users)| ring.set_typing(room, users));
        let typing = typing.collect();
        presence.expire(now);
        (typing, ring.set_presence(presence.take_due(now)))
    }
}

/// Ends what has had its time, until the term ends.
pub(crate) async fn sweep(leader: Arc<Leader>) {
    loop {
        tokio::select! {
            () = leader.deposed.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        let (typing, presence) = leader.ephemeral.lock().sweep(Instant::now());
        for frame in typing {
            publish(&leader, Some(frame)).await;
        }
        leader.ephemeral.publish_presence(&leader, presence).await;
    }
}

async fn publish(leader: &Leader, frame: Option<Arc<Frame>>) {
    if let Some(frame) = frame {
        leader.publisher.publish(frame, || ()).await;
    }
}

/// The room and the user, if he is in it.
async fn member(leader: &Leader, command: &SetTyping) -> Result<(RoomNid, UserNid), CommandError> {
    let room_id = <&RoomId>::try_from(command.room_id.as_str()).map_err(|_| CommandError::Malformed("room_id"))?;
    let user_id = <&UserId>::try_from(command.user_id.as_str()).map_err(|_| CommandError::Malformed("user_id"))?;
    let room = leader.store.room(room_id).await?.ok_or_else(outsider)?;
    let user = leader.store.user_nid(user_id).await?.ok_or_else(outsider)?;
    let joined = leader
        .store
        .user_rooms(user)
        .await?
        .get(room.nid)
        .is_some_and(|of| of.membership == Membership::Join);
    if joined { Ok((room.nid, user)) } else { Err(outsider()) }
}

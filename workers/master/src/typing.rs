//! Who is typing: kept in memory only, told on the ephemeral chain.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::{Epoch, Sequence},
    row::{Frame, Membership},
};
use plexus_proto::{ChainHead, CommandDone, CommandResult, SetTyping, UpdatesReply};
use plexus_replication::EphemeralRing;
use ruma::{RoomId, UserId};
use tokio::time::Instant;

use crate::{
    error::{CommandError, outsider},
    leader::Leader,
};

/// Longest a user is shown as typing without saying so again.
const TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// How often those who have stopped without saying so are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// Users shown as typing in one room; more are not.
const USERS_MAX: usize = 50;

/// The typists of every room, and the chain that tells of them.
#[derive(Debug)]
pub(crate) struct Typing(Mutex<State>);

#[derive(Debug)]
struct State {
    ring: EphemeralRing,
    rooms: HashMap<RoomNid, BTreeMap<UserNid, Instant>>,
}

impl Typing {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self(Mutex::new(State {
            ring: EphemeralRing::new(epoch),
            rooms: HashMap::new(),
        }))
    }

    /// A member types, or stops.
    pub(crate) async fn set(&self, leader: &Leader, command: &SetTyping) -> Result<CommandDone, CommandError> {
        let (room, user) = member(leader, command).await?;
        let timeout = Duration::from_millis(command.timeout_ms.into()).min(TIMEOUT_MAX);
        let frame = self.state().set(room, user, timeout);
        if let Some(frame) = frame {
            leader.publisher.publish(frame, || ()).await;
        }
        let head = self.head();
        Ok(CommandDone {
            result: Some(CommandResult::default()),
            writer: head.writer,
            position: head.position,
            epoch: head.epoch,
            ..CommandDone::default()
        })
    }

    /// Where the chain ends.
    pub(crate) fn head(&self) -> ChainHead {
        self.state().ring.chain_head()
    }

    /// What a reader has missed.
    pub(crate) fn updates(&self, epoch: Epoch, after: Sequence) -> UpdatesReply {
        self.state().ring.updates(epoch, after)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the typing of those whose time is over, until the term ends.
pub(crate) async fn sweep(leader: Arc<Leader>) {
    loop {
        tokio::select! {
            () = leader.deposed.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        let frames = leader.typing.state().expire(Instant::now());
        for frame in frames {
            leader.publisher.publish(frame, || ()).await;
        }
    }
}

impl State {
    /// Sets one user's typing; a frame if that changes who is typing.
    fn set(&mut self, room: RoomNid, user: UserNid, timeout: Duration) -> Option<Arc<Frame>> {
        let users = self.rooms.entry(room).or_default();
        let changed = if timeout.is_zero() {
            users.remove(&user).is_some()
        } else if users.len() < USERS_MAX || users.contains_key(&user) {
            users.insert(user, Instant::now() + timeout).is_none()
        } else {
            false
        };
        changed.then(|| self.tell(room))
    }

    fn expire(&mut self, now: Instant) -> Vec<Arc<Frame>> {
        let mut changed = Vec::new();
        for (room, users) in &mut self.rooms {
            let before = users.len();
            users.retain(|_, until| *until > now);
            if users.len() < before {
                changed.push(*room);
            }
        }
        changed.into_iter().map(|room| self.tell(room)).collect()
    }

    fn tell(&mut self, room: RoomNid) -> Arc<Frame> {
        let users: Vec<UserNid> = self
            .rooms
            .get(&room)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .copied()
            .collect();
        if users.is_empty() {
            self.rooms.remove(&room);
        }
        self.ring.set_typing(room, users)
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

#[cfg(test)]
mod tests {
    use plexus_core::row::Row;

    use super::*;

    const ROOM: RoomNid = RoomNid(1);

    fn typing(frame: &Frame) -> Vec<i64> {
        match frame.rows.as_slice() {
            [Row::Typing { users, .. }] => users.iter().map(|user| user.0).collect(),
            rows => panic!("not one typing row: {rows:?}"),
        }
    }

    #[test]
    fn only_changes_are_told_and_silence_ends_typing() {
        let mut state = State {
            ring: EphemeralRing::new(1),
            rooms: HashMap::new(),
        };
        let second = Duration::from_secs(1);
        assert_eq!(typing(&state.set(ROOM, UserNid(2), second).unwrap()), [2]);
        assert_eq!(typing(&state.set(ROOM, UserNid(1), 5 * second).unwrap()), [1, 2]);
        assert_eq!(state.set(ROOM, UserNid(2), 2 * second), None);
        assert_eq!(state.set(ROOM, UserNid(3), Duration::ZERO), None);
        assert!(state.expire(Instant::now() + second).is_empty());
        let ended = state.expire(Instant::now() + 3 * second);
        assert_eq!(ended.iter().map(|frame| typing(frame)).collect::<Vec<_>>(), [vec![1]]);
        assert_eq!(
            typing(&state.set(ROOM, UserNid(1), Duration::ZERO).unwrap()),
            Vec::<i64>::new()
        );
        assert!(state.rooms.is_empty());
    }
}

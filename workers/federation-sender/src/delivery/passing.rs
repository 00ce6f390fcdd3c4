//! Who types and who is there: told to other servers as it changes, and never later.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::{Epoch, Sequence},
};
use plexus_service::ServiceError;
use tokio::time::Instant;

use super::{board::Passing, route::sharing_servers, sender::Sender};

/// How often others are told again that somebody is still typing: they do not believe it for much longer.
const TYPING_AGAIN: Duration = Duration::from_secs(20);

/// What other servers have been told of the moment.
#[derive(Debug, Default)]
pub(super) struct Moment {
    epoch: Epoch,
    told: Sequence,
    /// Our users who type, by room, and when that was last told.
    typing: HashMap<RoomNid, BTreeMap<UserNid, Instant>>,
}

impl Moment {
    /// Tells what has changed.
    pub(super) async fn look(&mut self, sender: &Arc<Sender>) -> Result<(), ServiceError> {
        let (epoch, head) = sender.ctx().replica.ephemeral();
        if epoch != self.epoch {
            *self = Self {
                epoch,
                ..Self::default()
            };
        }
        if head > self.told {
            for room in sender.ctx().store.rooms_typed(self.told).unwrap_or_default() {
                self.look_at_room(sender, room).await?;
            }
            self.look_at_presence(sender).await?;
            self.told = head;
        }
        self.tell_again(sender).await
    }

    async fn look_at_room(&mut self, sender: &Arc<Sender>, room: RoomNid) -> Result<(), ServiceError> {
        let now = sender.ctx().store.typing(room);
        let told = self.typing.remove(&room).unwrap_or_default();
        let mut typing = BTreeMap::new();
        for &user in now.users.iter() {
            if let Some(at) = told.get(&user) {
                typing.insert(user, *at);
            } else if sender.is_ours(user).await? {
                tell_typing(sender, room, user, true).await?;
                typing.insert(user, Instant::now());
            }
        }
        for user in told.keys().filter(|user| !typing.contains_key(user)) {
            tell_typing(sender, room, *user, false).await?;
        }
        if !typing.is_empty() {
            self.typing.insert(room, typing);
        }
        Ok(())
    }

    async fn look_at_presence(&mut self, sender: &Arc<Sender>) -> Result<(), ServiceError> {
        let ctx = sender.ctx();
        if !ctx.config.social.presence {
            return Ok(());
        }
        for presence in ctx.store.presences_changed(self.told) {
            let user = presence.row.user;
            if !sender.is_ours(user).await? {
                continue;
            }
            for server in sharing_servers(sender, user).await? {
                sender.push_passing(&server, Passing::Presence(Arc::clone(&presence.row)));
            }
        }
        Ok(())
    }

    async fn tell_again(&mut self, sender: &Arc<Sender>) -> Result<(), ServiceError> {
        for (room, users) in &mut self.typing {
            for (user, told) in users {
                if told.elapsed() >= TYPING_AGAIN {
                    tell_typing(sender, *room, *user, true).await?;
                    *told = Instant::now();
                }
            }
        }
        Ok(())
    }
}

async fn tell_typing(sender: &Arc<Sender>, room: RoomNid, user: UserNid, typing: bool) -> Result<(), ServiceError> {
    for server in sender.ctx().store.room_servers(room).await?.iter() {
        sender.push_passing(server, Passing::Typing { room, user, typing });
    }
    Ok(())
}

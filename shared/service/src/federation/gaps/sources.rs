//! Who is asked for what is missing.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use plexus_federation::{request::RequestError, rooms::FetchError};
use plexus_storage::{rooms::RoomInfo, staged_events::StagedEvent};
use ruma::{OwnedServerName, ServerName};

use crate::{Ctx, ServiceError};

/// Servers that are asked for one thing.
const SERVERS_MAX: usize = 6;

/// Servers that may have what is missing, the likeliest first.
pub(crate) struct Sources {
    servers: Vec<OwnedServerName>,
    /// Those that did not answer: they are not asked again in this go.
    silent: Mutex<HashSet<OwnedServerName>>,
}

impl Sources {
    /// Those who have brought the events, then those whose users have sent them, then others in the room.
    pub(super) async fn find(ctx: &Ctx, room: &RoomInfo, waiting: &[StagedEvent]) -> Result<Self, ServiceError> {
        let present = ctx.store.room_servers(room.nid).await?;
        let senders = waiting.iter().map(|staged| staged.event.sender().server_name());
        let senders = senders.filter(|server| present.contains(server));
        let origins = waiting.iter().map(|staged| &*staged.origin);
        Self::among(ctx, room, origins.chain(senders).map(ToOwned::to_owned)).await
    }

    /// The first of these, then others in the room; without those that did not answer lately.
    pub(in crate::federation) async fn among(
        ctx: &Ctx,
        room: &RoomInfo,
        first: impl Iterator<Item = OwnedServerName>,
    ) -> Result<Self, ServiceError> {
        let present = ctx.store.room_servers(room.nid).await?;
        let others = present.iter().map(ToOwned::to_owned);
        let mut servers: Vec<OwnedServerName> = Vec::new();
        for server in first.chain(others) {
            if servers.len() == SERVERS_MAX {
                break;
            }
            if server == ctx.config.server_name || servers.contains(&server) {
                continue;
            }
            if ctx.federation.destinations().paused_until_ms(&server).await?.is_none() {
                servers.push(server);
            }
        }
        Ok(Self {
            servers,
            silent: Mutex::default(),
        })
    }

    /// The servers that have not failed to answer.
    pub(crate) fn each(&self) -> Vec<OwnedServerName> {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        self.servers
            .iter()
            .filter(|server| !silent.contains(*server))
            .cloned()
            .collect()
    }

    /// Notes why a server has not given what was asked for. What is this server's own fault is an error.
    pub(crate) fn note(&self, server: &ServerName, error: FetchError) -> Result<(), ServiceError> {
        tracing::debug!(server.name = %server, %error, "what is missing is not to be had there");
        match error {
            FetchError::Verify(error) => Err(error.into()),
            FetchError::Request(error @ (RequestError::Store(_) | RequestError::Stopping)) => Err(error.into()),
            FetchError::Request(RequestError::Transport { .. }) => {
                let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
                silent.insert(server.to_owned());
                Ok(())
            }
            FetchError::Request(
                RequestError::Ourselves
                | RequestError::NotNow { .. }
                | RequestError::Refused { .. }
                | RequestError::Json(_),
            )
            | FetchError::Malformed { .. } => Ok(()),
        }
    }
}

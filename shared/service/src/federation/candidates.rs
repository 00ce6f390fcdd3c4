//! Which servers may be asked to let a user into a room, and in what order.

use std::time::Duration;

use plexus_core::ids::UserNid;
use plexus_storage::rooms::RoomInfo;
use ruma::{OwnedServerName, RoomId, ServerName, UserId};
use serde_json::Value;
use tokio::time::Instant;

use crate::{Ctx, Requester, ServiceError, error::Refusal};

/// Most servers that are asked.
const SERVERS_MAX: usize = 10;
/// Once so much time has gone by, no further server is asked.
const NO_MORE_AFTER: Duration = Duration::from_secs(90);

/// The servers to ask, the likeliest first: those that the user names, the one that invited him, the one that the room is named after, those that were in the
/// room when this server was.
pub(super) async fn candidates(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    via: &[OwnedServerName],
) -> Result<Vec<OwnedServerName>, ServiceError> {
    let mut servers: Vec<OwnedServerName> = via.to_vec();
    servers.extend(inviting_servers(ctx, requester, room_id).await?);
    servers.extend(room_id.server_name().map(ToOwned::to_owned));
    if let Some(room) = ctx.store.room(room_id).await? {
        let known = ctx.store.room_servers(room.nid).await?;
        servers.extend(known.iter().map(ToOwned::to_owned).take(SERVERS_MAX));
    }
    let mut seen = Vec::with_capacity(SERVERS_MAX);
    for server in servers {
        if server != ctx.config.server_name && !seen.contains(&server) && seen.len() < SERVERS_MAX {
            seen.push(server);
        }
    }
    Ok(seen)
}

/// The server of whoever invited the requester, and those of who made the room what he was told that it is.
async fn inviting_servers(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
) -> Result<Vec<OwnedServerName>, ServiceError> {
    let mut servers = Vec::new();
    let Some(room) = ctx.store.room(room_id).await? else {
        return Ok(servers);
    };
    let Some(member) = ctx.store.user_rooms(requester.user).await?.get(room.nid) else {
        return Ok(servers);
    };
    let event = ctx.store.event(member.event).await?;
    servers.extend(event.map(|event| event.body.sender().server_name().to_owned()));
    servers.extend(preview_servers(ctx, requester.user, &room).await?);
    Ok(servers)
}

/// The servers of who is said to have made a room what it is, by what a user was told of it.
pub(super) async fn preview_servers(
    ctx: &Ctx,
    user: UserNid,
    room: &RoomInfo,
) -> Result<Vec<OwnedServerName>, ServiceError> {
    let preview = ctx.store.room_preview(user, room.nid).await?.unwrap_or_default();
    let preview: Vec<Value> = serde_json::from_slice(&preview).unwrap_or_default();
    let senders = preview.iter().filter_map(|event| event["sender"].as_str());
    let servers = senders.filter_map(|sender| <&UserId>::try_from(sender).ok());
    Ok(servers.map(|sender| sender.server_name().to_owned()).collect())
}

/// Asking one server after the other until one helps.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    room_id: &'a RoomId,
    started: Instant,
    /// The most telling error: what a server refuses says more than that another is away.
    telling: Option<ServiceError>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(room_id: &'a RoomId) -> Self {
        Self {
            room_id,
            started: Instant::now(),
            telling: None,
        }
    }

    /// Whether there is time for another server.
    pub(super) fn may_go_on(&self) -> bool {
        self.started.elapsed() <= NO_MORE_AFTER
    }

    /// What came of asking a server: what was wanted, or nothing if another one may help. An error if none can.
    pub(super) fn note<T>(
        &mut self,
        server: &ServerName,
        outcome: Result<T, ServiceError>,
    ) -> Result<Option<T>, ServiceError> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            // No other server makes this one know the version.
            Err(error @ ServiceError::IncompatibleRoomVersion { .. }) => Err(error),
            Err(error) => {
                let room_id = self.room_id;
                tracing::info!(room.id = %room_id, server.name = %server, %error, "a server does not help");
                let has_more = |telling: &ServiceError| weight(telling) >= weight(&error);
                if !self.telling.as_ref().is_some_and(has_more) {
                    self.telling = Some(error);
                }
                Ok(None)
            }
        }
    }

    /// Nobody has helped.
    pub(super) fn give_up(self) -> ServiceError {
        let nobody = || ServiceError::not_found("no server is known that is in the room");
        self.telling.unwrap_or_else(nobody)
    }
}

/// How much an error tells the user.
fn weight(error: &ServiceError) -> u8 {
    match error {
        ServiceError::Matrix { status: 403, .. }
        | ServiceError::Refused {
            kind: Refusal::Forbidden,
            ..
        } => 3,
        ServiceError::Matrix { .. } | ServiceError::Refused { .. } => 2,
        ServiceError::Unavailable(_) => 1,
        ServiceError::IncompatibleRoomVersion { .. }
        | ServiceError::UnsupportedRoomVersion
        | ServiceError::NoSession { .. }
        | ServiceError::Locked
        | ServiceError::Uia(_)
        | ServiceError::WrongBackupVersion { .. }
        | ServiceError::Internal(_) => 0,
    }
}

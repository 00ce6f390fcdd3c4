//! What aliases lead to: those of this server, and by other servers theirs.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#querying-for-information>

use plexus_storage::rooms::RoomInfo;
use ruma::{OwnedRoomId, OwnedServerName, RoomAliasId};

use crate::{Ctx, ServiceError};

/// Most servers that are named as being in a room.
const SERVERS_MAX: usize = 100;

/// What an alias leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Servers by which one can join it, the likeliest first.
    pub servers: Vec<OwnedServerName>,
}

/// The room that an alias of any server leads to.
pub async fn resolve(ctx: &Ctx, alias: &RoomAliasId) -> Result<Resolved, ServiceError> {
    if alias.server_name() == ctx.config.server_name {
        return resolve_here(ctx, alias).await;
    }
    let answer = ctx.federation.fetch_room_of_alias(alias).await?;
    let mut servers = answer.servers;
    // Whose alias it is knows the room, whether it says so or not.
    if !servers.iter().any(|server| server == alias.server_name()) {
        servers.push(alias.server_name().to_owned());
    }
    Ok(Resolved {
        room_id: answer.room_id,
        servers,
    })
}

/// The room that an alias of this server leads to.
pub async fn resolve_here(ctx: &Ctx, alias: &RoomAliasId) -> Result<Resolved, ServiceError> {
    let unknown = || ServiceError::not_found(format!("the room alias {alias} does not exist"));
    if alias.server_name() != ctx.config.server_name {
        return Err(ServiceError::invalid_param("the room alias is not of this server"));
    }
    let stored = ctx.store.room_alias(alias).await?.ok_or_else(unknown)?;
    let room = ctx.store.room_by_nid(stored.room).await?;
    let room = room.ok_or_else(|| ServiceError::internal("an alias of an unknown room"))?;
    Ok(Resolved {
        servers: servers(ctx, &room).await?,
        room_id: room.id.clone(),
    })
}

/// Servers that are in a room; this one first, which knows the room even if nobody of it is in there now.
async fn servers(ctx: &Ctx, room: &RoomInfo) -> Result<Vec<OwnedServerName>, ServiceError> {
    let own = &ctx.config.server_name;
    let there = ctx.store.room_servers(room.nid).await?;
    let others = there.iter().filter(|server| *server != own).map(ToOwned::to_owned);
    Ok([own.clone()].into_iter().chain(others).take(SERVERS_MAX).collect())
}

//! Which servers may take part in a room, by its `m.room.server_acl`. Asked on every path by which another server names a room.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#server-access-control-lists-acls-for-rooms>

use std::{fmt, sync::Arc};

use plexus_core::{acl::ServerAcl, ids::EventNid};
use plexus_storage::{events::StoredEvent, rooms::RoomInfo};
use quick_cache::sync::Cache;
use ruma::ServerName;

use crate::{Ctx, ServiceError, rooms::access::now};

/// Most lists that are kept; each is of one event, whose size bounds it.
const KEPT_MAX: usize = 200;

/// Lists that have been read, by their events, and by whether these were redacted by then. Cheap to clone.
#[derive(Clone)]
pub struct Acls(Arc<Cache<(EventNid, bool), Arc<ServerAcl>>>);

impl Default for Acls {
    fn default() -> Self {
        Self(Arc::new(Cache::new(KEPT_MAX)))
    }
}

impl fmt::Debug for Acls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acls")
    }
}

impl Acls {
    fn of(&self, event: &StoredEvent) -> Arc<ServerAcl> {
        let key = (event.nid, event.redacted_by.is_some());
        if let Some(kept) = self.0.get(&key) {
            return kept;
        }
        let acl = Arc::new(ServerAcl::read(event.body.content()));
        self.0.insert(key, Arc::clone(&acl));
        acl
    }
}

/// Refuses a server that may not take part in a room now.
pub async fn check(ctx: &Ctx, room: &RoomInfo, server: &ServerName) -> Result<(), ServiceError> {
    if allows(ctx, room, server).await? {
        Ok(())
    } else {
        Err(ServiceError::forbidden(
            "the room's access control list excludes your server",
        ))
    }
}

/// Whether a server may take part in a room now.
pub async fn allows(ctx: &Ctx, room: &RoomInfo, server: &ServerName) -> Result<bool, ServiceError> {
    let Some(state) = ctx.store.room_root_at(room.nid, now(ctx)).await? else {
        return Ok(true);
    };
    let event = ctx.store.state_event(room.nid, state, "m.room.server_acl", "").await?;
    Ok(event.is_none_or(|event| ctx.inbound.acls.of(&event).allows(server)))
}

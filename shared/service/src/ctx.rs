//! What every service function is given: the store, the log, the configuration, the clock.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use plexus_core::{ids::UserNid, room_version::RoomVersion};
use plexus_replication::Replica;
use plexus_storage::Store;
use ruma::{OwnedDeviceId, OwnedServerName, OwnedUserId};

use crate::users::{admin_register::Nonces, passwords::Passwords};

/// The server as a service function sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ctx {
    pub store: Store,
    pub replica: Replica,
    pub config: Arc<ServiceConfig>,
    pub clock: Clock,
    pub passwords: Passwords,
    pub nonces: Nonces,
    /// What devices with lazy members have been sent of them.
    pub sent_members: crate::sync::SentMembers,
}

/// The part of the configuration that decides behaviour.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// The part after the colon in the ids of this server's users.
    pub server_name: OwnedServerName,
    /// The version of a room whose creator asked for none.
    pub default_room_version: RoomVersion,
    pub registration: Registration,
    /// Which history the tokens of this database belong to; another one means initial sync.
    pub generation: String,
}

/// Who may make an account.
#[derive(Clone, Default)]
pub struct Registration {
    /// Anybody may, without proof of who they are.
    pub open: bool,
    /// Whoever knows this may, by `/_synapse/admin/v1/register`.
    pub shared_secret: Option<String>,
}

impl fmt::Debug for Registration {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("open", &self.open)
            .field("shared_secret", &self.shared_secret.is_some())
            .finish()
    }
}

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    pub user: UserNid,
    pub user_id: OwnedUserId,
    pub device_id: OwnedDeviceId,
    pub admin: bool,
}

/// The time of day. A test hands in its own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(system_now_ms)
    }

    /// A clock that tells what `now_ms` says.
    pub fn new(now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now_ms))
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now_ms())
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock that is handed to everybody else")]
fn system_now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

//! What every service function is given: the store, the log, the configuration, the clock.

use std::{fmt, sync::Arc};

use plexus_core::{ids::UserNid, room_version::RoomVersion};
use plexus_media::Media;
use plexus_replication::{Clock, Replica};
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
    /// The files that users upload.
    pub media: Media,
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
    pub media: Uploads,
    /// Which history the tokens of this database belong to; another one means initial sync.
    pub generation: String,
}

/// What users may upload.
#[derive(Clone, Copy, Debug)]
pub struct Uploads {
    /// Most bytes of one file.
    pub max_upload_bytes: u64,
    /// Whether files uploaded from now on are given only to those who show an access token.
    pub require_token: bool,
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

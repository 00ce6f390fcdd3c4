//! What every service function is given: the store, the log, the configuration, the clock.

use std::{fmt, sync::Arc};

use plexus_core::{filter::Names, ids::UserNid, room_version::RoomVersion};
use plexus_federation::Federation;
use plexus_media::Media;
use plexus_replication::{Clock, Replica};
use plexus_storage::Store;
use ruma::{OwnedDeviceId, OwnedServerName, OwnedUserId};

use crate::users::{passwords::Passwords, sightings::Sightings};

/// The server as a service function sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ctx {
    pub store: Store,
    pub replica: Replica,
    pub config: Arc<ServiceConfig>,
    pub clock: Clock,
    pub passwords: Passwords,
    /// This server among others.
    pub federation: Federation,
    /// What is remembered of what other servers send.
    pub inbound: crate::federation::Inbound,
    /// Lists of the devices of other servers' users, on their way.
    pub device_lists: crate::federation::DeviceLists,
    /// Rooms of spaces that only other servers are in.
    pub told_rooms: crate::federation::ToldRooms,
    /// The files that users upload.
    pub media: Media,
    /// The files of other servers.
    pub remote_files: crate::media::remote::RemoteFiles,
    /// What has been worked out from users' account data and receipts.
    pub user_memory: crate::UserMemory,
    /// Where devices were seen, until it is written down.
    pub sightings: Sightings,
    /// What devices with lazy members have been sent of them.
    pub sent_members: crate::sync::SentMembers,
    /// What the master has been told of devices that sync.
    pub syncs_told: crate::presence::SyncsTold,
    /// How far that has come which is derived from the log.
    pub derived: crate::derived::Progress,
    /// Who searches at the moment.
    pub searches: crate::search::Searches,
    /// Who has whole syncs answered at the moment.
    pub turns: crate::sync::Turns,
}

/// The part of the configuration that decides behaviour.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// The part after the colon in the ids of this server's users.
    pub server_name: OwnedServerName,
    /// The version of a room whose creator asked for none.
    pub default_room_version: RoomVersion,
    pub rooms: Rooms,
    pub registration: Registration,
    pub media: Uploads,
    pub social: Social,
    pub accounts: Accounts,
    /// Whom users may have asked whose an e-mail address or phone number is: names in lower case.
    pub identity_servers: Names,
    /// Which history the tokens of this database belong to; another one means initial sync.
    pub generation: String,
    pub sync: SyncConfig,
}

/// What decides how a sync is answered.
#[derive(Clone, Debug)]
pub struct SyncConfig {
    /// Most events of one room's timeline in one answer, whatever the filter asks for.
    pub timeline_limit_max: usize,
    /// The types of state that users who are invited or knock are shown, besides those of the specification.
    pub invite_state_types: Vec<String>,
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self {
            timeline_limit_max: 100,
            invite_state_types: Vec::new(),
        }
    }
}

/// What users may upload.
#[derive(Clone, Copy, Debug)]
pub struct Uploads {
    /// Most bytes of one file.
    pub max_upload_bytes: u64,
    /// Whether files uploaded from now on are given only to those who show an access token.
    pub require_token: bool,
}

/// What is allowed around rooms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rooms {
    /// Only members of a room make aliases for it.
    pub aliases_need_membership: bool,
    /// The room directory is for those who have an account.
    pub directory_needs_token: bool,
    /// Other servers are shown it too.
    pub directory_for_servers: bool,
}

/// What people may find out about each other.
#[derive(Clone, Copy, Debug)]
pub struct Social {
    /// Whether it is told who is online.
    pub presence: bool,
    /// Whether everybody can be found by everybody, not only those who share a room or are in a public one.
    pub search_all_users: bool,
    /// Whether messages can be searched.
    pub search: bool,
}

impl Default for Social {
    fn default() -> Self {
        Self {
            presence: true,
            search_all_users: false,
            search: true,
        }
    }
}

/// Who may make an account.
#[derive(Clone, Default)]
pub struct Registration {
    /// Anybody may, without proof of who they are.
    pub open: bool,
    /// Whoever knows this may, by `/_synapse/admin/v1/register`.
    pub shared_secret: Option<String>,
    /// Anybody may look around as a guest.
    pub guests: bool,
    /// One of these is needed, unless there are none.
    pub tokens: Vec<String>,
    /// What has to be agreed to.
    pub terms: Vec<Policy>,
}

impl fmt::Debug for Registration {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("open", &self.open)
            .field("shared_secret", &self.shared_secret.is_some())
            .field("guests", &self.guests)
            .field("tokens", &self.tokens.len())
            .field("terms", &self.terms)
            .finish()
    }
}

/// A document that a new user agrees to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What clients call it: `privacy_policy`, say.
    pub id: String,
    pub version: String,
    /// Its name, for people.
    pub name: String,
    pub url: String,
}

/// What accounts are like here.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// How long an access token that can be refreshed is good.
    pub access_token_ttl_ms: i64,
    /// Whether a logged in client may get a token that logs another one in.
    pub login_tokens: bool,
    /// Whether only users see profiles.
    pub profiles_need_token: bool,
    /// Whether a proxy in front says where requests come from.
    pub behind_proxy: bool,
    pub turn: Turn,
    pub discovery: Discovery,
}

/// The relay of calls, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// Where it is; empty: there is none.
    pub uris: Vec<String>,
    pub credentials: TurnCredentials,
    /// How long credentials are good.
    pub lifetime_ms: i64,
}

/// How users get into the relay.
#[derive(Clone)]
pub enum TurnCredentials {
    /// By what is derived from a secret that the relay knows too.
    Secret(String),
    /// All by the same.
    Fixed { username: String, password: String },
}

impl Default for TurnCredentials {
    fn default() -> Self {
        Self::Secret(String::new())
    }
}

impl fmt::Debug for TurnCredentials {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret",
            Self::Fixed { .. } => "Fixed",
        })
    }
}

/// What clients that know only the server's name are told about it.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// Where clients connect.
    pub public_base_url: Option<String>,
    /// Where other servers connect: a server name.
    pub federation_server: Option<String>,
    /// Whom users ask for help.
    pub support_email: Option<String>,
    pub support_user_id: Option<String>,
    pub support_page: Option<String>,
}

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    pub user: UserNid,
    pub user_id: OwnedUserId,
    pub device_id: OwnedDeviceId,
    pub admin: bool,
    /// Somebody who only looks around.
    pub guest: bool,
    /// Somebody who may read, and hardly more.
    pub suspended: bool,
}

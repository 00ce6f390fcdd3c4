//! The inside of a process: the database, the log, the master if this process can be it. Everything but the listeners.

use std::{path::PathBuf, sync::Arc, time::Duration};

use plexus_api::routes::Family;
use plexus_core::{event::SigningKey, room_version::RoomVersion};
use plexus_federation::Spawn;
use plexus_media::Media;
use plexus_replication::{Bus, Clock, MasterTarget, Replica, ReplicaParts, Secret as InternalSecret, Tasks};
use plexus_service::{
    Ctx, Registration, ServiceConfig, Social, SyncConfig, Uploads,
    ctx::Rooms,
    derived::{self, Progress},
    federation::{DeviceLists, Inbound, ToldRooms, completion, staging},
    media::remote::RemoteFiles,
    presence::SyncsTold,
    search::Searches,
    sync::{SentMembers, Turns},
    users::{
        passwords::Passwords,
        sightings::{Sightings, keep_flushing},
    },
};
use plexus_storage::{Store, db::Database};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;

use crate::{
    accounts,
    config::{Config, Secret, Topology},
    data,
    error::RunError,
    federation::federation,
    leader,
    role::{Leading, MasterParts, MasterRole, Role, SlowestRooms, StartMaster, families},
};

/// How long background tasks may take to end; the master has its own, longer bound inside.
const STOP_MAX: Duration = Duration::from_secs(10);

/// What a process's inside is made from.
#[derive(Debug)]
pub(crate) struct NodeParts<'a> {
    /// The configuration, checked.
    pub(crate) config: &'a Config,
    /// Alone, or beside others.
    pub(crate) topology: Topology,
    /// The process's name.
    pub(crate) name: &'a str,
    /// What it does.
    pub(crate) roles: &'a [Role],
    /// Where other processes reach its master, if they can.
    pub(crate) grpc_address: Option<String>,
    /// The secret of `/_synapse/admin/v1/register`, if there is one.
    pub(crate) registration_secret: Secret,
}

/// A started inside.
#[derive(Debug)]
pub(crate) struct Node {
    /// What the service functions are given.
    pub(crate) ctx: Ctx,
    /// Where background tasks run.
    pub(crate) tasks: Tasks,
    master: Option<RunningMaster>,
    end: Ends,
    /// Held, because whoever follows it takes its end for the end of the process.
    target: Arc<watch::Sender<MasterTarget>>,
}

struct RunningMaster {
    leading: Leading,
    slowest_rooms: SlowestRooms,
    grpc: Option<Routes>,
    done: JoinHandle<()>,
}

impl std::fmt::Debug for RunningMaster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningMaster").finish_non_exhaustive()
    }
}

/// What ends the tasks, and how their end is seen.
#[derive(Clone, Debug)]
struct Ends {
    tracker: TaskTracker,
    tasks: CancellationToken,
    master: CancellationToken,
}

impl Node {
    /// Opens the database and joins the log.
    pub(crate) async fn start(parts: NodeParts<'_>) -> Result<Self, RunError> {
        let start_master = parts.roles.iter().find_map(|role| role.master);
        let db = data::open(parts.config, start_master.is_some()).await?;
        let generation = data::check_owner(&db, parts.config).await?;
        let end = Ends {
            tracker: TaskTracker::new(),
            tasks: CancellationToken::new(),
            master: CancellationToken::new(),
        };
        let tasks = Tasks::new(end.tracker.clone(), end.tasks.clone(), Handle::current());
        let (target, follow_target) = watch::channel(MasterTarget::Nobody);
        let secret = internal_secret(&parts)?;
        let replica = Replica::start(ReplicaParts {
            store: Store::new(db.clone()),
            bus: bus(parts.config)?,
            master: follow_target,
            secret: secret.clone(),
            tasks: tasks.clone(),
        })
        .await?;
        let signing_key = Arc::new(data::signing_key(&db, parts.config, parts.topology).await?);
        let store = replica.store().clone();
        let federation = federation(parts.config, Arc::clone(&signing_key), store, &tasks).await?;
        let ctx = Ctx {
            device_lists: DeviceLists::new(federation.spawn()),
            store: replica.store().clone(),
            replica: replica.clone(),
            config: Arc::new(service_config(&parts, generation)),
            clock: Clock::system(),
            passwords: Passwords::new(Handle::current()),
            remote_files: remote_files(parts.config, federation.spawn()),
            federation,
            media: media(parts.config, parts.config.media_folder()),
            user_memory: plexus_service::UserMemory::default(),
            sightings: Sightings::default(),
            sent_members: SentMembers::default(),
            syncs_told: SyncsTold::default(),
            derived: Progress::default(),
            searches: Searches::default(),
            inbound: Inbound::default(),
            told_rooms: ToldRooms::default(),
            turns: Turns::default(),
        };
        let mut node = Self {
            ctx,
            tasks,
            master: None,
            end,
            target: Arc::new(target),
        };
        if parts.roles.iter().any(|role| role.families.contains(&Family::Media)) {
            node.tasks.spawn(tidy(node.ctx.media.clone()));
            node.tasks.spawn(tidy(node.ctx.remote_files.media.clone()));
        }
        node.tasks.spawn(keep_flushing(node.ctx.clone()));
        if families(parts.roles).contains(&Family::Federation) {
            node.tasks.spawn(staging::run(node.ctx.clone()));
            node.tasks.spawn(completion::run(node.ctx.clone()));
        }
        let own = start_master.map(|start| node.start_master(start, &parts, secret, signing_key));
        node.find_leader(parts.topology, own, db);
        Ok(node)
    }

    /// The way in for Commands of other processes, once.
    pub(crate) fn take_grpc(&mut self) -> Option<Routes> {
        self.master.as_mut().and_then(|master| master.grpc.take())
    }

    /// Which rooms keep the master of this process busy, if it has one.
    pub(crate) fn slowest_rooms(&self) -> Option<SlowestRooms> {
        self.master.as_ref().map(|master| Arc::clone(&master.slowest_rooms))
    }

    /// Whether the master of this process leads, if it has one.
    pub(crate) fn leading(&self) -> Option<Leading> {
        self.master.as_ref().map(|master| Arc::clone(&master.leading))
    }

    /// Lets a standby take over, while this process still answers what it has begun.
    pub(crate) fn hand_over(&self) {
        self.end.master.cancel();
    }

    /// Ends the master, then everything in the background.
    pub(crate) async fn stop(mut self) {
        self.hand_over();
        if let Some(master) = self.master.take() {
            let done = tokio::time::timeout(STOP_MAX, master.done).await;
            if !matches!(done, Ok(Ok(()))) {
                tracing::warn!("the master did not end in order");
            }
        }
        self.end.tasks.cancel();
        self.end.tracker.close();
        if tokio::time::timeout(STOP_MAX, self.end.tracker.wait()).await.is_err() {
            tracing::warn!("background tasks were still running at the end");
        }
    }

    fn start_master(
        &mut self,
        start: StartMaster,
        parts: &NodeParts<'_>,
        secret: Option<InternalSecret>,
        signing_key: Arc<SigningKey>,
    ) -> (String, MasterTarget) {
        let holder = leader::holder(parts.name, parts.grpc_address.as_deref());
        let MasterRole {
            target,
            grpc,
            run,
            leading,
            slowest_rooms,
        } = start(MasterParts {
            replica: self.ctx.replica.clone(),
            server_name: parts.config.server_name.clone(),
            signing_key,
            holder: holder.clone(),
            lease_ttl: Duration::from_millis(parts.config.lease.ttl_ms),
            secret: secret.filter(|_| parts.grpc_address.is_some()),
            shutdown: self.end.master.clone(),
        });
        let done = self.end.tracker.spawn(run);
        // One process derives, and the one that leads is one.
        let leads = Arc::clone(&leading);
        self.tasks.spawn(derived::run(self.ctx.clone(), move || leads()));
        self.master = Some(RunningMaster {
            leading,
            slowest_rooms,
            grpc,
            done,
        });
        (holder, target)
    }

    /// One process is its own leader; beside others, the lease says who leads.
    fn find_leader(&self, topology: Topology, own: Option<(String, MasterTarget)>, db: Database) {
        match (topology, own) {
            (Topology::One, Some((_, here))) => {
                self.target.send_replace(here);
            }
            (_, own) => self.tasks.spawn(leader::follow(db, own, Arc::clone(&self.target))),
        }
    }
}

/// Removes what uploads left behind in a process that was killed.
async fn tidy(media: Media) {
    match media.blobs.remove_abandoned().await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "removed unfinished uploads"),
        Err(error) => tracing::warn!(%error, "cannot remove unfinished uploads"),
    }
}

/// A folder of files.
fn media(config: &Config, folder: PathBuf) -> Media {
    Media::new(folder, config.media.max_image_pixels, Handle::current())
}

/// Files of other servers: in a folder of their own beside those of users here.
fn remote_files(config: &Config, spawn: &Spawn) -> RemoteFiles {
    let folder = config.media_folder().join("remote");
    RemoteFiles::new(media(config, folder), config.media.remote_cache_bytes, spawn)
}

/// The secret for the way between processes; a process that is alone has no such way.
fn internal_secret(parts: &NodeParts<'_>) -> Result<Option<InternalSecret>, RunError> {
    let secret = &parts.config.internal.secret;
    if secret.is_empty() {
        Ok(None)
    } else {
        Ok(Some(InternalSecret::parse(secret.reveal())?))
    }
}

fn bus(config: &Config) -> Result<Bus, RunError> {
    if config.redis.url.is_empty() {
        return Ok(Bus::Local);
    }
    Ok(Bus::redis(config.redis.url.reveal(), config.server_name.as_str())?)
}

fn service_config(parts: &NodeParts<'_>, generation: String) -> ServiceConfig {
    let secret = &parts.registration_secret;
    ServiceConfig {
        server_name: parts.config.server_name.clone(),
        default_room_version: parts.config.rooms.default_version.parse().unwrap_or(RoomVersion::V12),
        rooms: Rooms {
            aliases_need_membership: parts.config.rooms.aliases_need_membership,
            directory_needs_token: parts.config.rooms.directory_needs_token,
            directory_for_servers: parts.config.rooms.allow_public_rooms_over_federation,
        },
        registration: Registration {
            open: parts.config.registration.open,
            shared_secret: (!secret.is_empty()).then(|| secret.reveal().to_owned()),
            guests: parts.config.registration.guests,
            tokens: accounts::tokens(parts.config),
            terms: accounts::terms(parts.config),
        },
        media: Uploads {
            max_upload_bytes: parts.config.media.max_upload_bytes,
            require_token: parts.config.media.require_token,
        },
        social: Social {
            presence: parts.config.presence.enabled,
            search_all_users: parts.config.user_directory.search_all_users,
            search: parts.config.search.enabled,
        },
        accounts: accounts::accounts(parts.config),
        identity_servers: parts.config.federation.identity_servers(),
        generation,
        sync: SyncConfig {
            timeline_limit_max: parts.config.sync.timeline_limit_max,
            invite_state_types: parts.config.sync.invite_state_types.clone(),
        },
    }
}

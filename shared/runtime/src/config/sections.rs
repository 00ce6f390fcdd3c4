//! Every key of the configuration file, one struct per section.
//!
//! The comments on the fields are the reference: `plexus config example` prints them, and an error about a key quotes them. Every key has a default,
//! so that no file at all is a valid configuration. An empty string stands for "not set".

use std::{net::SocketAddr, path::PathBuf};

use ruma::OwnedServerName;
use serde::{Deserialize, Serialize};

use super::secret::{Secret, SecretUrl};

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name after the colon in every user id and alias. It cannot be changed once there is data.
    pub server_name: OwnedServerName,
    /// The folder of the embedded database, of the signing key and of the secrets made at the first start.
    pub data_dir: PathBuf,
    /// The file of the server's signing key. Empty: `signing.key` in `data_dir`.
    /// Every process of the deployment needs the same key.
    pub signing_key_file: PathBuf,
    /// Where clients connect.
    pub listen: Listen,
    /// What only the processes of this deployment and its operators reach: commands, forwarded requests, metrics.
    pub internal: Internal,
    /// Where everything is stored.
    pub database: Database,
    /// What carries news between processes quickly. One process needs none.
    pub redis: Redis,
    /// Who may make an account.
    pub registration: Registration,
    /// What accounts are like.
    pub accounts: Accounts,
    /// The relay of calls.
    pub turn: Turn,
    /// What is told to whoever knows only the server's name.
    pub discovery: Discovery,
    /// Defaults of new rooms, and what is allowed around rooms.
    pub rooms: Rooms,
    /// Files that users upload.
    pub media: Media,
    /// Whether people see who is online.
    pub presence: Presence,
    /// Who can be found by whom.
    pub user_directory: UserDirectory,
    /// Finding messages.
    pub search: Search,
    /// What syncs tell.
    pub sync: Sync,
    /// Requests that go out to others: push gateways, other servers.
    pub outbound: Outbound,
    /// Other servers, and how far they are trusted.
    pub federation: Federation,
    /// Who is master, when several processes can be.
    pub lease: Lease,
    /// What is written about what happens.
    pub log: Log,
    /// Where Prometheus scrapes.
    pub metrics: Metrics,
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// An IP address and a port. Port 0 takes a free one, which the log names.
    pub address: SocketAddr,
    /// Whether a reverse proxy stands in front, so that the last address in `X-Forwarded-For` is the client's. Without one, clients can write what they like there.
    pub behind_proxy: bool,
    /// An IP address and a port for the same over TLS, which other servers need: `0.0.0.0:8448`. Empty: a reverse proxy does that.
    pub tls_address: String,
    /// A PEM file with the certificate for `tls_address`, and those between it and its authority. Read again on SIGHUP.
    pub tls_certificate_file: PathBuf,
    /// A PEM file with the certificate's private key. Read again on SIGHUP.
    pub tls_key_file: PathBuf,
}

/// What only the processes of this deployment and its operators reach.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Internal {
    /// An IP address and a port for forwarded requests, `/metrics`, `/health` and `/ready`.
    pub address: SocketAddr,
    /// An IP address and a port for commands to the master (gRPC). Only a process that can be master opens it.
    pub grpc_address: SocketAddr,
    /// The host name or IP address by which the other processes reach this one. Empty: the one in `address`.
    pub advertise_host: String,
    /// A file with the secret that every process of the deployment shares. Or set `PLEXUS_INTERNAL__SECRET`.
    /// Needed by more than one process; one process makes its own.
    pub secret_file: PathBuf,
    /// Read from `secret_file` or from the environment, never from the configuration file.
    #[serde(skip)]
    pub secret: Secret,
}

/// Where everything is stored.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `postgres://user:password@host/name`. Empty: the embedded database, `plexus.db` in `data_dir`, for one process.
    pub url: SecretUrl,
    /// The most connections one process keeps to PostgreSQL.
    pub pool_max: usize,
}

/// What carries news between processes quickly.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// `redis://host:6379`. Needed by more than one process.
    pub url: SecretUrl,
}

/// Who may make an account.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// Whether anybody who can connect may make an account.
    pub open: bool,
    /// Confirms that `open` is meant when `listen.address` is not loopback: nothing verifies who registers.
    pub allow_open_without_verification: bool,
    /// A file with the secret of `/_synapse/admin/v1/register`, by which tools make accounts while `open` is false.
    /// Or set `PLEXUS_REGISTRATION__SHARED_SECRET`. Empty: `registration.secret` in `data_dir`, made at the first start.
    pub shared_secret_file: PathBuf,
    /// Read from `shared_secret_file` or from the environment, never from the configuration file.
    #[serde(skip)]
    pub shared_secret: Secret,
    /// Whether anybody may look around as a guest, without a name or a password.
    pub guests: bool,
    /// A file with one line: registration tokens, separated by spaces. Who shows one may make an account even while `open` is false,
    /// and nobody may without one. Or set `PLEXUS_REGISTRATION__TOKENS`. Empty: there are none.
    pub tokens_file: PathBuf,
    /// Read from `tokens_file` or from the environment, never from the configuration file.
    #[serde(skip)]
    pub tokens: Secret,
    /// A page with the terms that a new user agrees to. Empty: there are none.
    pub terms_url: String,
    /// What the terms are called.
    pub terms_name: String,
    /// Which version of the terms it is.
    pub terms_version: String,
}

/// What accounts are like.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accounts {
    /// How long an access token is good for a client that knows how to refresh it, in seconds: 60 to 31536000.
    pub access_token_lifetime_s: i64,
    /// Whether a logged in client may get a token that logs another one in, once its user has given his password again.
    pub login_tokens: bool,
    /// Whether only users of this server see profiles; otherwise everybody does.
    pub profiles_need_token: bool,
}

/// The relay of calls.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Turn {
    /// Where it is: `["turn:turn.example.org?transport=udp"]`. Empty: there is none.
    pub uris: Vec<String>,
    /// A file with the secret that the relay shares with this server, from which each user's credentials are made. Or set `PLEXUS_TURN__SECRET`.
    pub secret_file: PathBuf,
    /// Read from `secret_file` or from the environment, never from the configuration file.
    #[serde(skip)]
    pub secret: Secret,
    /// The name of the one user of a relay without such a secret.
    pub username: String,
    /// A file with that user's password. Or set `PLEXUS_TURN__PASSWORD`.
    pub password_file: PathBuf,
    /// Read from `password_file` or from the environment, never from the configuration file.
    #[serde(skip)]
    pub password: Secret,
    /// How long credentials are good, in seconds: 60 to 31536000.
    pub lifetime_s: i64,
}

/// What is told to whoever knows only the server's name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// Where clients connect, for `/.well-known/matrix/client`: `https://matrix.example.org`. Empty: that is not served here.
    pub public_base_url: String,
    /// Where other servers connect, for `/.well-known/matrix/server`: `matrix.example.org:443`. Empty: that is not served here.
    pub federation_server: String,
    /// Whom users write to for help, for `/.well-known/matrix/support`.
    pub support_email: String,
    /// Whom users talk to for help: a Matrix user id.
    pub support_user_id: String,
    /// A page where users find help.
    pub support_page: String,
}

/// Defaults of new rooms, and what is allowed around rooms.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rooms {
    /// The version of a room whose creator does not ask for one, "1" to "12".
    pub default_version: String,
    /// Whether only members of a room may make aliases for it. Administrators always may.
    pub aliases_need_membership: bool,
    /// Whether the room directory is shown only to those who have an account here.
    pub directory_needs_token: bool,
    /// Whether other servers are shown the room directory.
    pub allow_public_rooms_over_federation: bool,
}

/// Whether people see who is online.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Presence {
    /// Whether it is kept and told who is online. It costs more than anything else on a server whose users have many rooms in common.
    pub enabled: bool,
}

/// Who can be found by whom.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserDirectory {
    /// Whether everybody finds everybody. Otherwise one finds those one shares a room with, and those who are in a room that anybody may join or read.
    pub search_all_users: bool,
}

/// Finding messages.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Search {
    /// Whether messages that are not encrypted can be searched. What is written while this is false is found once it is true again.
    pub enabled: bool,
}

/// Files that users upload.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// The folder they are kept in. Empty: `media` in `data_dir`. Every process of the role `media` needs the same folder.
    pub dir: PathBuf,
    /// The most bytes of one file, 1 to 10737418240 (10 GiB).
    pub max_upload_bytes: u64,
    /// The most bytes of files of other servers that are kept, 1048576 (1 MiB) or more. What was not asked for for longest goes first.
    pub remote_cache_bytes: u64,
    /// The most pixels of a picture that thumbnails are made of, 1 to 1000000000. Making one takes up to 16 bytes of memory for each.
    pub max_image_pixels: u64,
    /// Whether files uploaded from now on are given only to those who show an access token. Clients and bridges older than 2024 cannot do so;
    /// what was uploaded before stays reachable by the old paths.
    pub require_token: bool,
}

/// What syncs tell.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sync {
    /// Most events of one room's timeline in one answer, whatever a filter asks for: 1 to 1000.
    pub timeline_limit_max: usize,
    /// The types of state that users who are invited or knock are shown of a room, besides those the specification names.
    pub invite_state_types: Vec<String>,
}

/// Requests that go out to others.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outbound {
    /// Ranges of addresses (CIDR, with commas between them) that may be connected to although they are not of the public Internet.
    pub allowed_ranges: String,
    /// Ranges of addresses that may not be connected to, besides those that are not of the public Internet.
    pub denied_ranges: String,
    /// A PEM file with certificates that are trusted besides the system's. Empty: none.
    pub extra_ca_file: PathBuf,
}

/// Other servers, and how far they are trusted.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Federation {
    /// Whether other servers have to show a certificate of an authority that is trusted. Only a test network goes without.
    pub verify_certificates: bool,
    /// Servers that need not: host names and addresses, in which `*` stands for any characters and `?` for one: `["*.onion"]`.
    pub unverified_servers: Vec<String>,
    /// PEM files with the authorities that are trusted, instead of the system's. Empty: the system's.
    pub custom_ca_list: Vec<PathBuf>,
    /// Servers that are asked for the keys of others, besides those others: a name, or a name, a key's id and the public key that has to have signed
    /// what it says: `["matrix.org", "example.org ed25519:abc Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw"]`.
    pub trusted_key_servers: Vec<String>,
    /// The former name of `trusted_key_servers`; the servers of both are asked.
    pub perspectives: Vec<String>,
    /// Confirms that a trusted key server without a key is meant although `verify_certificates` is false: whoever is on the way can forge every key.
    pub accept_keys_insecurely: bool,
    /// Identity servers that are asked for users who invite by e-mail address or phone number: host names, with a port if it is not 443, in which `*`
    /// stands for any characters: `["id.example.org", "*.example.com:8090"]`. Empty: none, and nobody is invited so.
    pub identity_servers: Vec<String>,
    /// How long the keys count that this server publishes, in seconds: 3600 to 604800.
    pub key_validity_s: i64,
    /// Public keys that this server signed with, besides those that `plexus rotate-signing-key` has noted: a key's id, the key, and when it was last used,
    /// in milliseconds since 1970: `["ed25519:old Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw 1576767829750"]`.
    pub old_signing_keys: Vec<String>,
}

/// Who is master, when several processes can be.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lease {
    /// How long a silent master keeps its lease, and so about how long a standby waits: 1000 to 60000.
    pub ttl_ms: u64,
}

/// What is written about what happens.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, also per module: `info,plexus_master=debug`.
    pub level: String,
    /// `text` or `json`.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines, one object a line.
    Json,
}

/// Where Prometheus scrapes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// An IP address and a port for `/metrics`, besides the internal one. Empty: only there.
    pub address: String,
}

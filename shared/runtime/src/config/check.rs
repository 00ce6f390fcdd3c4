//! Rules that span several keys, or that the type of a key does not say.

use std::path::PathBuf;

use super::{ConfigError, federation, load::Places, sections::Config};
use crate::telemetry;

/// The lease may not be shorter, or a busy database costs the master its lease; nor longer, or nobody notices that it is gone.
const LEASE_TTL_MS: std::ops::RangeInclusive<u64> = 1000..=60_000;

/// How long tokens and credentials may be good: not so short that clients do nothing but ask for new ones, nor longer than a year.
const LIFETIME_S: std::ops::RangeInclusive<i64> = 60..=31_536_000;

/// More connections than this are a mistake: PostgreSQL's default is 100 in all.
const POOL_MAX: usize = 1000;

/// A file may be as large as what people still wait for.
const UPLOAD_BYTES: std::ops::RangeInclusive<u64> = 1..=10 << 30;

/// Less would hold no picture.
const REMOTE_CACHE_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 50;

/// More pixels would not fit into the memory of most machines.
const IMAGE_PIXELS: std::ops::RangeInclusive<u64> = 1..=1_000_000_000;
/// A sync of a few rooms with more events than this is no sync any more.
const TIMELINE_LIMIT_MAX: std::ops::RangeInclusive<usize> = 1..=1000;

/// Most types of state that invited users are shown besides the usual ones.
const INVITE_STATE_TYPES_MAX: usize = 50;

/// The room versions there are.
const ROOM_VERSIONS: std::ops::RangeInclusive<u8> = 1..=12;

/// Whether the process runs alone or beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One process runs every role.
    One,
    /// Several processes share a database.
    Split,
}

/// The rules that are broken so far.
struct Broken<'a> {
    places: &'a Places,
    rules: Vec<ConfigError>,
}

impl Broken<'_> {
    /// Notes a rule about these keys, and where they were set; a key that nobody set has no place.
    fn note(&mut self, keys: &[&str], sentence: &str) {
        let places: Vec<&str> = keys
            .iter()
            .filter_map(|key| self.places.get(*key))
            .map(String::as_str)
            .collect();
        self.rules.push(ConfigError::Rule(if places.is_empty() {
            sentence.to_owned()
        } else {
            format!("{}: {sentence}", places.join(", "))
        }));
    }
}

/// Checks the rules; the error says of each broken one where its keys were set and what to change.
pub(super) fn check(config: &Config, places: &Places, topology: Topology) -> Result<(), ConfigError> {
    let mut broken = Broken {
        places,
        rules: Vec::new(),
    };
    check_values(config, &mut broken);
    check_registration(config, &mut broken);
    check_accounts(config, &mut broken);
    check_internal(config, topology, &mut broken);
    check_tls(config, &mut broken);
    for (key, sentence) in federation::broken(&config.federation) {
        broken.note(&[key], &sentence);
    }
    if topology == Topology::Split {
        check_split(config, &mut broken);
    }
    ConfigError::all(broken.rules)
}

/// Rules of one key each.
fn check_values(config: &Config, broken: &mut Broken<'_>) {
    let version = &config.rooms.default_version;
    let number: Option<u8> = version.parse().ok();
    if !number.is_some_and(|number| ROOM_VERSIONS.contains(&number)) {
        let sentence = format!("rooms.default_version is {version:?}, but the versions are \"1\" to \"12\"");
        broken.note(&["rooms.default_version"], &sentence);
    }
    let ttl = config.lease.ttl_ms;
    if !LEASE_TTL_MS.contains(&ttl) {
        let (start, end) = LEASE_TTL_MS.into_inner();
        let sentence = format!("lease.ttl_ms is {ttl}, but it has to be between {start} and {end}");
        broken.note(&["lease.ttl_ms"], &sentence);
    }
    let limit = config.sync.timeline_limit_max;
    if !TIMELINE_LIMIT_MAX.contains(&limit) {
        let (start, end) = TIMELINE_LIMIT_MAX.into_inner();
        let sentence = format!("sync.timeline_limit_max is {limit}, but it has to be between {start} and {end}");
        broken.note(&["sync.timeline_limit_max"], &sentence);
    }
    let types = config.sync.invite_state_types.len();
    if types > INVITE_STATE_TYPES_MAX {
        let sentence = format!("sync.invite_state_types has {types} types, more than {INVITE_STATE_TYPES_MAX}");
        broken.note(&["sync.invite_state_types"], &sentence);
    }
    let pool = config.database.pool_max;
    if !(1..=POOL_MAX).contains(&pool) {
        let sentence = format!("database.pool_max is {pool}, but it has to be between 1 and {POOL_MAX}");
        broken.note(&["database.pool_max"], &sentence);
    }
    let numbers = [
        ("media.max_upload_bytes", config.media.max_upload_bytes, UPLOAD_BYTES),
        (
            "media.remote_cache_bytes",
            config.media.remote_cache_bytes,
            REMOTE_CACHE_BYTES,
        ),
        ("media.max_image_pixels", config.media.max_image_pixels, IMAGE_PIXELS),
    ];
    for (key, number, allowed) in numbers {
        if !allowed.contains(&number) {
            let (start, end) = allowed.into_inner();
            let sentence = format!("{key} is {number}, but it has to be between {start} and {end}");
            broken.note(&[key], &sentence);
        }
    }
    let url = config.database.url.reveal();
    if !(url.is_empty() || url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        let sentence = "database.url has to begin with postgres://, or be empty for the embedded database";
        broken.note(&["database.url"], sentence);
    }
    let url = config.redis.url.reveal();
    if !(url.is_empty() || url.starts_with("redis://") || url.starts_with("unix://")) {
        broken.note(&["redis.url"], "redis.url has to begin with redis:// or unix://");
    }
    if let Err(error) = config.metrics_address() {
        broken.note(&["metrics.address"], &error.to_string());
    }
    if let Err(error) = config.outbound_rules() {
        broken.note(
            &["outbound.allowed_ranges", "outbound.denied_ranges"],
            &error.to_string(),
        );
    }
    if let Err(error) = telemetry::check(&config.log) {
        broken.note(&["log.level"], &error.to_string());
    }
}

/// <https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration>
fn is_registration_token(token: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"._~-".contains(&c);
    token.len() <= 64 && token.bytes().all(allowed)
}

fn check_accounts(config: &Config, broken: &mut Broken<'_>) {
    let lifetimes = [
        (
            "accounts.access_token_lifetime_s",
            config.accounts.access_token_lifetime_s,
        ),
        ("turn.lifetime_s", config.turn.lifetime_s),
    ];
    for (key, lifetime) in lifetimes {
        if !LIFETIME_S.contains(&lifetime) {
            let (start, end) = LIFETIME_S.into_inner();
            broken.note(
                &[key],
                &format!("{key} is {lifetime}, but it has to be between {start} and {end}"),
            );
        }
    }
    let turn = &config.turn;
    let has_user = !turn.username.is_empty() && !turn.password.is_empty();
    if !turn.uris.is_empty() && turn.secret.is_empty() && !has_user {
        let sentence = "turn.uris needs turn.secret_file, or turn.username and turn.password_file";
        broken.note(&["turn.uris"], sentence);
    }
    let url = &config.discovery.public_base_url;
    if !(url.is_empty() || url.starts_with("https://") || url.starts_with("http://")) {
        let sentence = "discovery.public_base_url has to begin with https:// or http://";
        broken.note(&["discovery.public_base_url"], sentence);
    }
}

fn check_registration(config: &Config, broken: &mut Broken<'_>) {
    let registration = &config.registration;
    let tokens = registration.tokens.reveal().split_whitespace();
    if !tokens.clone().all(is_registration_token) {
        let sentence = "a registration token has at most 64 of the characters A-Z, a-z, 0-9, and . _ ~ -";
        broken.note(&["registration.tokens_file"], sentence);
    }
    if tokens.count() > 0 {
        return;
    }
    if registration.open && !config.listen.address.ip().is_loopback() && !registration.allow_open_without_verification {
        let sentence = format!(
            "registration.open lets anybody who reaches {} make accounts, and nothing verifies them: set registration.open = false, or set \
             registration.allow_open_without_verification = true if that is what you want",
            config.listen.address
        );
        broken.note(&["registration.open", "listen.address"], &sentence);
    }
}

fn check_tls(config: &Config, broken: &mut Broken<'_>) {
    let listen = &config.listen;
    let without_files = listen.tls_certificate_file == PathBuf::new() || listen.tls_key_file == PathBuf::new();
    match config.tls_address() {
        Err(error) => broken.note(&["listen.tls_address"], &error.to_string()),
        Ok(Some(_)) if without_files => {
            let sentence = "listen.tls_address needs listen.tls_certificate_file and listen.tls_key_file";
            broken.note(&["listen.tls_address"], sentence);
        }
        Ok(_) => {}
    }
    let server = &config.discovery.federation_server;
    if !server.is_empty() && ruma::ServerName::parse(server).is_err() {
        let sentence = "discovery.federation_server has to be a server name: a host, or a host and a port";
        broken.note(&["discovery.federation_server"], sentence);
    }
}

fn check_internal(config: &Config, topology: Topology, broken: &mut Broken<'_>) {
    let internal = &config.internal;
    let addresses = [
        ("internal.address", internal.address),
        ("internal.grpc_address", internal.grpc_address),
    ];
    for (key, address) in addresses {
        if !address.ip().is_loopback() && internal.secret.is_empty() {
            let sentence = format!(
                "{key} = {address} can be reached from outside, which needs a secret: set internal.secret_file or PLEXUS_INTERNAL__SECRET"
            );
            broken.note(&[key], &sentence);
        }
    }
    if topology == Topology::Split && internal.address.ip().is_unspecified() && internal.advertise_host.is_empty() {
        let sentence = format!(
            "internal.address = {} listens everywhere: say in internal.advertise_host by which name the other processes reach this one",
            internal.address
        );
        broken.note(&["internal.address"], &sentence);
    }
}

/// What several processes need to have in common.
fn check_split(config: &Config, broken: &mut Broken<'_>) {
    if config.database.url.is_empty() {
        let sentence = "the embedded database is for one process: set database.url to a PostgreSQL server, or leave out --role to run every role here";
        broken.note(&["database.url"], sentence);
    }
    if config.redis.url.is_empty() {
        let sentence = "several processes need redis.url to tell each other news quickly";
        broken.note(&["redis.url"], sentence);
    }
    if config.internal.secret.is_empty() {
        let sentence = "several processes need one secret to trust each other: set internal.secret_file or PLEXUS_INTERNAL__SECRET, the same for all";
        broken.note(&["internal.secret_file"], sentence);
    }
    if config.registration.shared_secret.is_empty() && config.registration.shared_secret_file != PathBuf::new() {
        broken.note(
            &["registration.shared_secret_file"],
            "registration.shared_secret_file is empty",
        );
    }
}

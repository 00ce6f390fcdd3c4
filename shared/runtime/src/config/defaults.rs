//! The default of every key that has another than nothing, `false` or 0.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use ruma::server_name;

use super::{
    secret::{Secret, SecretUrl},
    sections::{
        Accounts, Config, Database, Discovery, Federation, Internal, Lease, Listen, Log, LogFormat, Media, Metrics,
        Outbound, Presence, Redis, Registration, Rooms, Search, Sync, Turn, UserDirectory,
    },
};

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: server_name!("localhost").to_owned(),
            data_dir: PathBuf::from("./plexus-data"),
            signing_key_file: PathBuf::new(),
            listen: Listen::default(),
            internal: Internal::default(),
            database: Database::default(),
            redis: Redis::default(),
            registration: Registration::default(),
            accounts: Accounts::default(),
            turn: Turn::default(),
            discovery: Discovery::default(),
            rooms: Rooms::default(),
            media: Media::default(),
            presence: Presence::default(),
            user_directory: UserDirectory::default(),
            search: Search::default(),
            sync: Sync::default(),
            outbound: Outbound::default(),
            federation: Federation::default(),
            lease: Lease::default(),
            log: Log::default(),
            metrics: Metrics::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: loopback(8008),
            behind_proxy: false,
            tls_address: String::new(),
            tls_certificate_file: PathBuf::new(),
            tls_key_file: PathBuf::new(),
        }
    }
}

impl Default for Internal {
    fn default() -> Self {
        Self {
            address: loopback(0),
            grpc_address: loopback(0),
            advertise_host: String::new(),
            secret_file: PathBuf::new(),
            secret: Secret::default(),
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: SecretUrl::default(),
            pool_max: 8,
        }
    }
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            open: true,
            allow_open_without_verification: false,
            shared_secret_file: PathBuf::new(),
            shared_secret: Secret::default(),
            guests: false,
            tokens_file: PathBuf::new(),
            tokens: Secret::default(),
            terms_url: String::new(),
            terms_name: "Terms of use".to_owned(),
            terms_version: "1".to_owned(),
        }
    }
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            access_token_lifetime_s: 3600,
            login_tokens: false,
            profiles_need_token: false,
        }
    }
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            uris: Vec::new(),
            secret_file: PathBuf::new(),
            secret: Secret::default(),
            username: String::new(),
            password_file: PathBuf::new(),
            password: Secret::default(),
            lifetime_s: 86_400,
        }
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            default_version: "12".to_owned(),
            aliases_need_membership: true,
            directory_needs_token: false,
            allow_public_rooms_over_federation: true,
        }
    }
}

impl Default for Media {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            max_upload_bytes: 100 << 20,
            remote_cache_bytes: 10 << 30,
            max_image_pixels: 50_000_000,
            require_token: false,
        }
    }
}

impl Default for Presence {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for Search {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            timeline_limit_max: 100,
            invite_state_types: Vec::new(),
        }
    }
}

impl Default for Federation {
    fn default() -> Self {
        Self {
            verify_certificates: true,
            unverified_servers: Vec::new(),
            custom_ca_list: Vec::new(),
            trusted_key_servers: vec!["matrix.org".to_owned()],
            perspectives: Vec::new(),
            accept_keys_insecurely: false,
            identity_servers: Vec::new(),
            key_validity_s: 86_400,
            old_signing_keys: Vec::new(),
        }
    }
}

impl Default for Lease {
    fn default() -> Self {
        Self { ttl_ms: 3000 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::default(),
        }
    }
}

//! The secrets of a process: configured, or made by itself when it is alone.

use std::{fmt::Write as _, path::PathBuf};

use crate::{
    config::{Config, Secret, Topology},
    error::RunError,
    private_file::create_once,
};

/// Where one process keeps the secret of `/_synapse/admin/v1/register`.
pub(crate) fn registration_secret_path(config: &Config) -> PathBuf {
    config.data_dir.join("registration.secret")
}

/// The secret of `/_synapse/admin/v1/register`. One process makes one, readable by its owner only, so that `plexus register-user` can use it.
pub(crate) fn registration_secret(config: &Config, topology: Topology) -> Result<Secret, RunError> {
    let configured = &config.registration.shared_secret;
    if !configured.is_empty() || topology == Topology::Split {
        return Ok(configured.clone());
    }
    let path = registration_secret_path(config);
    let failed = |source| RunError::File {
        path: path.clone(),
        source,
    };
    create_once(&path, &format!("{}\n", random_secret())).map_err(failed)?;
    Secret::from_file(&path).map_err(failed)
}

/// The secret of the internal plane. One process needs one only against others on its machine: it is new at each start and nobody is told.
pub(crate) fn internal_secret(config: &Config) -> Secret {
    if config.internal.secret.is_empty() {
        Secret::new(random_secret())
    } else {
        config.internal.secret.clone()
    }
}

/// 256 random bits.
fn random_secret() -> String {
    hex(&rand::random::<[u8; 32]>())
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

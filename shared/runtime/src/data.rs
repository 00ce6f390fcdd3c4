//! Opening what is stored: the database, its schema, and the facts that say whose it is.

use plexus_core::event::SigningKey;
use plexus_storage::{
    db::{Database, DatabaseConfig, Migrated, migrate, now_ms, require_schema},
    facts,
    server_keys::{self, OldKey},
    user_directory,
};

use crate::{
    config::{Config, Topology},
    error::RunError,
    keys,
    private_file::create_private_folder,
};

/// Random characters of a generation.
const GENERATION_DIGITS: usize = 8;

/// Where the database is, as the configuration says.
fn database_config(config: &Config) -> DatabaseConfig {
    match config.sqlite_path() {
        Some(path) => DatabaseConfig::Sqlite { path },
        None => DatabaseConfig::Postgres {
            url: config.database.url.reveal().to_owned(),
            pool_max: config.database.pool_max,
        },
    }
}

/// Opens the database as it is.
pub(crate) async fn connect(config: &Config) -> Result<Database, RunError> {
    if config.sqlite_path().is_some() {
        create_private_folder(&config.data_dir).map_err(|source| RunError::File {
            path: config.data_dir.clone(),
            source,
        })?;
    }
    Ok(Database::open(&database_config(config)).await?)
}

/// Opens the database. Whoever can be master brings its schema up to date; others refuse one that is not.
pub(crate) async fn open(config: &Config, may_migrate: bool) -> Result<Database, RunError> {
    let db = connect(config).await?;
    if may_migrate {
        let migrated = migrate(&db).await?;
        if migrated.from != migrated.to {
            tracing::info!(
                schema.from = migrated.from,
                schema.to = migrated.to,
                "brought the database's schema up to date"
            );
        }
    } else {
        require_schema(&db).await?;
    }
    Ok(db)
}

/// Brings the schema up to date: `plexus db migrate`.
pub async fn migrate_database(config: &Config) -> Result<Migrated, RunError> {
    Ok(migrate(&connect(config).await?).await?)
}

/// Makes sure that the database is this server's, and returns the generation of its tokens.
pub(crate) async fn check_owner(db: &Database, config: &Config) -> Result<String, RunError> {
    let configured = config.server_name.as_str();
    let found = facts::get_or_insert(db, facts::SERVER_NAME, configured).await?;
    if found != configured {
        return Err(RunError::OtherServer {
            found,
            configured: configured.to_owned(),
        });
    }
    Ok(facts::get_or_insert(db, facts::GENERATION, &random_generation()).await?)
}

/// Gives the database a new generation, so that tokens of the one it was copied or restored from mean nothing here: `plexus db restored`.
pub async fn new_generation(config: &Config) -> Result<(), RunError> {
    let db = connect(config).await?;
    require_schema(&db).await?;
    Ok(facts::set(&db, facts::GENERATION, &random_generation()).await?)
}

/// Opens this server's database for a tool that works on it beside the server, or instead of it.
pub async fn open_database(config: &Config) -> Result<Database, RunError> {
    let db = connect(config).await?;
    require_schema(&db).await?;
    check_owner(&db, config).await?;
    Ok(db)
}

/// Empties the user directory, so that the server makes it anew. It may run meanwhile, unless its database is the embedded one.
pub async fn rebuild_user_directory(config: &Config) -> Result<(), RunError> {
    let db = connect(config).await?;
    require_schema(&db).await?;
    Ok(user_directory::rebuild(&db).await?)
}

fn random_generation() -> String {
    format!("{:0width$x}", rand::random::<u32>(), width = GENERATION_DIGITS)
}

/// Reads the signing key, making it if this process is alone, and makes sure that it is the one in use.
///
/// Two masters with different keys would sign the same server's events differently, and other servers would believe only one of them.
pub(crate) async fn signing_key(db: &Database, config: &Config, topology: Topology) -> Result<SigningKey, RunError> {
    let path = config.signing_key_path();
    let key = match topology {
        Topology::One => keys::read_or_generate(&path)?,
        Topology::Split => keys::read(&path)?.ok_or(keys::KeyFileError::Missing(path.clone()))?,
    };
    let configured = described(&key);
    let found = facts::get_or_insert(db, facts::SIGNING_KEY, &configured).await?;
    if found == configured {
        Ok(key)
    } else {
        Err(RunError::OtherKey {
            found,
            configured,
            path,
        })
    }
}

/// What the database knows of a key.
fn described(key: &SigningKey) -> String {
    format!("{} {}", key.key_id(), key.verify_key().to_base64())
}

/// The keys before and after a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The id of the key that is published as an old one from now on.
    pub old: String,
    /// The id of the key that is signed with from the next start on.
    pub new: String,
}

/// Makes a new signing key and retires the one in use: `plexus rotate-signing-key`. An attempt that was cut off is brought to its end by the next one.
pub async fn rotate_signing_key(config: &Config) -> Result<Rotated, RunError> {
    let db = connect(config).await?;
    require_schema(&db).await?;
    let path = config.signing_key_path();
    let current = keys::read(&path)?.ok_or(keys::KeyFileError::Missing(path.clone()))?;
    let next = keys::next(&path)?;
    let (from, to) = (described(&current), described(&next));
    let found = facts::get_or_insert(&db, facts::SIGNING_KEY, &from).await?;
    // Otherwise only the file is left to be put in its place.
    if found != to {
        let old = OldKey {
            key_id: current.key_id().to_owned(),
            verify_key: current.verify_key().to_base64(),
            expired_ms: now_ms(&db).await?,
        };
        if !server_keys::rotate_signing_key(&db, &old, &from, &to).await? {
            return Err(RunError::OtherKey {
                found,
                configured: from,
                path,
            });
        }
    }
    keys::install_next(&path)?;
    Ok(Rotated {
        old: current.key_id().to_owned(),
        new: next.key_id().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rotation_that_was_cut_off_is_brought_to_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config {
            data_dir: folder.path().to_owned(),
            ..Config::default()
        };
        migrate_database(&config).await.expect("migrated");
        let path = config.signing_key_path();
        let first = keys::generate(&path).expect("made");
        // As if the process had died after the database knew of the new key.
        let next = keys::next(&path).expect("made");
        let db = connect(&config).await.expect("opened");
        let old = OldKey {
            key_id: first.key_id().to_owned(),
            verify_key: first.verify_key().to_base64(),
            expired_ms: 7,
        };
        let (from, to) = (described(&first), described(&next));
        facts::set(&db, facts::SIGNING_KEY, &from).await.expect("written");
        assert!(
            server_keys::rotate_signing_key(&db, &old, &from, &to)
                .await
                .expect("written")
        );
        drop(db);
        let rotated = rotate_signing_key(&config).await.expect("rotated");
        assert_eq!(
            (rotated.old.as_str(), rotated.new.as_str()),
            (first.key_id(), next.key_id())
        );
        let installed = keys::read(&path).expect("readable").expect("there");
        assert_eq!(installed.to_line(), next.to_line());
        // And from there on, the next one.
        let rotated = rotate_signing_key(&config).await.expect("rotated");
        assert_eq!(rotated.old, next.key_id());
        let db = connect(&config).await.expect("opened");
        let old = server_keys::old_signing_keys(&db).await.expect("readable");
        let ids: Vec<&str> = old.iter().map(|key| key.key_id.as_str()).collect();
        assert_eq!(ids, [next.key_id(), first.key_id()]);
        let installed = signing_key(&db, &config, Topology::One).await.expect("the right one");
        assert_eq!(installed.key_id(), rotated.new);
    }

    #[tokio::test]
    async fn a_key_that_is_not_in_use_is_not_retired() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config {
            data_dir: folder.path().to_owned(),
            ..Config::default()
        };
        migrate_database(&config).await.expect("migrated");
        keys::generate(&config.signing_key_path()).expect("made");
        let db = connect(&config).await.expect("opened");
        facts::set(&db, facts::SIGNING_KEY, "ed25519:other x")
            .await
            .expect("written");
        drop(db);
        let refused = rotate_signing_key(&config).await.expect_err("refused");
        assert!(matches!(refused, RunError::OtherKey { .. }), "{refused}");
    }
}

//! Opening what is stored: the database, its schema, and the facts that say whose it is.

use plexus_core::event::SigningKey;
use plexus_storage::{
    db::{Database, DatabaseConfig, Migrated, migrate, require_schema},
    facts, user_directory,
};

use crate::{
    config::{Config, Topology},
    error::RunError,
    keys,
    private_file::create_private_folder,
};

/// The fact that names the key events are signed with, and its public half.
const SIGNING_KEY_FACT: &str = "signing_key";

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
    let configured = format!("{} {}", key.key_id(), key.verify_key().to_base64());
    let found = facts::get_or_insert(db, SIGNING_KEY_FACT, &configured).await?;
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

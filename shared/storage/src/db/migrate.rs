//! Bringing the schema up to date, and refusing one this program does not know.
//!
//! Migrations only go forward and expand before they contract: each says which schema the oldest program that may still run on it knows.

use std::sync::Arc;

use rusqlite::Connection;

use self::checksums::Checksums;
use super::{
    Database, DbError, Inner, dialect,
    postgres::{Connector, Session},
};

mod checksums;

struct Migration {
    version: i64,
    /// A program that knows this schema can work on the one this migration makes.
    runs_with: i64,
    sql: &'static str,
}

impl Migration {
    /// A migration that a program has to know: an older one would write without what it adds.
    const fn needed(version: i64, sql: &'static str) -> Self {
        Self {
            version,
            runs_with: version,
            sql,
        }
    }
}

const MIGRATIONS: &[Migration] = &[
    Migration::needed(1, include_str!("../../../../migrations/0001_first_light.sql")),
    Migration::needed(2, include_str!("../../../../migrations/0002_accounts.sql")),
    Migration::needed(3, include_str!("../../../../migrations/0003_keys.sql")),
    Migration::needed(4, include_str!("../../../../migrations/0004_account_data.sql")),
    Migration::needed(5, include_str!("../../../../migrations/0005_rooms.sql")),
    Migration::needed(6, include_str!("../../../../migrations/0006_relations.sql")),
    Migration::needed(7, include_str!("../../../../migrations/0007_media.sql")),
    Migration::needed(8, include_str!("../../../../migrations/0008_search.sql")),
    Migration::needed(9, include_str!("../../../../migrations/0009_pushers.sql")),
    Migration::needed(10, include_str!("../../../../migrations/0010_graph.sql")),
    Migration::needed(11, include_str!("../../../../migrations/0011_removals.sql")),
    Migration::needed(12, include_str!("../../../../migrations/0012_federation.sql")),
    Migration::needed(13, include_str!("../../../../migrations/0013_gaps.sql")),
    Migration::needed(14, include_str!("../../../../migrations/0014_partial.sql")),
    Migration::needed(15, include_str!("../../../../migrations/0015_inbound.sql")),
    Migration::needed(16, include_str!("../../../../migrations/0016_delivery.sql")),
    Migration::needed(17, include_str!("../../../../migrations/0017_remote_devices.sql")),
    Migration::needed(18, include_str!("../../../../migrations/0018_remote_media.sql")),
    Migration::needed(19, include_str!("../../../../migrations/0019_previews.sql")),
    Migration::needed(20, include_str!("../../../../migrations/0020_completions.sql")),
];

/// The newest schema this program knows.
const KNOWN: i64 = MIGRATIONS[MIGRATIONS.len() - 1].version;

const CREATE: &str = "-- migrate::create\n\
    CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY, runs_with BIGINT NOT NULL, applied_ms BIGINT NOT NULL)";
const FOUND: &str = "-- migrate::found\n\
    SELECT version, runs_with FROM schema_version ORDER BY version DESC LIMIT 1";
const RECORD: &str = "-- migrate::record\n\
    INSERT INTO schema_version (version, runs_with, applied_ms) VALUES ($1, $2, now_ms())";
/// "plexus migrate": serializes migrations of one database.
const LOCK: &str = "-- migrate::lock\nSELECT pg_advisory_xact_lock(8101247392)";

/// What [`migrate`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The schema there was; 0 for an empty database.
    pub from: i64,
    /// The schema there is.
    pub to: i64,
}

/// Applies what is missing, all of it or nothing, under a lock. A schema newer than this program knows is refused.
pub async fn migrate(db: &Database) -> Result<Migrated, DbError> {
    match &*db.0 {
        Inner::Sqlite(sqlite) => sqlite.handle().alone(migrate_sqlite).await?,
        Inner::Postgres(postgres) => migrate_postgres(&postgres.connector()).await,
    }
}

/// Refuses a schema this program cannot work on, older or newer.
pub async fn require_schema(db: &Database) -> Result<(), DbError> {
    let row = if exists(db, "schema_version").await? {
        db.query_opt(FOUND, &[]).await?
    } else {
        None
    };
    let found = match row {
        Some(row) => Schema {
            version: row.int(0)?,
            runs_with: row.int(1)?,
        },
        None => Schema::default(),
    };
    if !plan(found)?.is_empty() {
        return Err(DbError::SchemaOlder {
            found: found.version,
            needed: KNOWN,
        });
    }
    let mut applied = Checksums::new();
    if exists(db, checksums::TABLE).await? {
        for row in db.query(checksums::FOUND, &[]).await? {
            applied.insert(row.int(0)?, row.bytes(1)?.to_vec());
        }
    }
    checksums::check(&applied)
}

async fn exists(db: &Database, table: &str) -> Result<bool, DbError> {
    let sql = match &*db.0 {
        Inner::Sqlite(_) => "-- migrate::exists\nSELECT count(*) > 0 FROM sqlite_schema WHERE name = $1",
        Inner::Postgres(_) => "-- migrate::exists\nSELECT to_regclass(CAST($1 AS TEXT)) IS NOT NULL",
    };
    match db.query_opt(sql, &[table.into()]).await? {
        Some(row) => row.bool(0),
        None => Ok(false),
    }
}

#[derive(Clone, Copy, Default)]
struct Schema {
    version: i64,
    runs_with: i64,
}

/// The migrations that are missing.
fn plan(found: Schema) -> Result<&'static [Migration], DbError> {
    if found.version > KNOWN && found.runs_with > KNOWN {
        return Err(DbError::SchemaNewer {
            found: found.version,
            needed: found.runs_with,
            known: KNOWN,
        });
    }
    let applied = MIGRATIONS.partition_point(|migration| migration.version <= found.version);
    Ok(&MIGRATIONS[applied..])
}

fn migrate_sqlite(connection: &Connection) -> Result<Migrated, DbError> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(sqlite_failed)?;
    let migrated = apply_sqlite(connection).and_then(|migrated| {
        connection.execute_batch("COMMIT").map_err(sqlite_failed)?;
        Ok(migrated)
    });
    if migrated.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").map_err(sqlite_failed)?;
    }
    migrated
}

fn apply_sqlite(connection: &Connection) -> Result<Migrated, DbError> {
    let run = |sql: &str| connection.execute_batch(sql).map_err(sqlite_failed);
    for create in [CREATE, checksums::CREATE] {
        for statement in dialect::migration_for_sqlite(create) {
            run(&statement)?;
        }
    }
    let found = connection.query_row(FOUND, [], |row| {
        Ok(Schema {
            version: row.get(0)?,
            runs_with: row.get(1)?,
        })
    });
    let found = match found {
        Ok(found) => found,
        Err(rusqlite::Error::QueryReturnedNoRows) => Schema::default(),
        Err(error) => return Err(sqlite_failed(error)),
    };
    let applied = sqlite_checksums(connection).map_err(sqlite_failed)?;
    checksums::check(&applied)?;
    for migration in plan(found)? {
        for statement in dialect::migration_for_sqlite(&dialect::only_for(migration.sql, "sqlite")) {
            run(&statement)?;
        }
        connection
            .execute(&dialect::for_sqlite(RECORD), (migration.version, migration.runs_with))
            .map_err(sqlite_failed)?;
    }
    for (version, checksum) in checksums::unrecorded(&applied) {
        connection
            .execute(&dialect::for_sqlite(checksums::RECORD), (version, checksum))
            .map_err(sqlite_failed)?;
    }
    Ok(Migrated {
        from: found.version,
        to: found.version.max(KNOWN),
    })
}

fn sqlite_checksums(connection: &Connection) -> rusqlite::Result<Checksums> {
    let mut statement = connection.prepare(checksums::FOUND)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

async fn migrate_postgres(connector: &Connector) -> Result<Migrated, DbError> {
    // A session of its own: when anything fails it is dropped, and the server rolls back.
    let client = Session::connect(connector).await?.into_client();
    let run = async |sql: &str| client.batch_execute(sql).await.map_err(postgres_failed);
    run("BEGIN").await?;
    run(LOCK).await?;
    run(CREATE).await?;
    run(checksums::CREATE).await?;
    let found = match client.query_opt(FOUND, &[]).await.map_err(postgres_failed)? {
        Some(row) => Schema {
            version: row.get(0),
            runs_with: row.get(1),
        },
        None => Schema::default(),
    };
    let applied = client.query(checksums::FOUND, &[]).await.map_err(postgres_failed)?;
    let applied: Checksums = applied.iter().map(|row| (row.get(0), row.get(1))).collect();
    checksums::check(&applied)?;
    for migration in plan(found)? {
        run(&dialect::only_for(migration.sql, "postgres")).await?;
        let record = dialect::for_postgres(RECORD);
        client
            .execute(record.as_ref(), &[&migration.version, &migration.runs_with])
            .await
            .map_err(postgres_failed)?;
    }
    for (version, checksum) in checksums::unrecorded(&applied) {
        client
            .execute(checksums::RECORD, &[&version, &checksum.as_slice()])
            .await
            .map_err(postgres_failed)?;
    }
    run("COMMIT").await?;
    Ok(Migrated {
        from: found.version,
        to: found.version.max(KNOWN),
    })
}

fn sqlite_failed(error: rusqlite::Error) -> DbError {
    failed(Arc::new(error))
}

fn postgres_failed(error: tokio_postgres::Error) -> DbError {
    failed(Arc::new(error))
}

fn failed(cause: super::Cause) -> DbError {
    DbError::Rejected {
        statement: "migrate",
        rejection: super::Rejection::Other,
        cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_holes() {
        for (expected, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, expected);
            assert!(migration.runs_with <= migration.version);
        }
    }

    #[test]
    fn a_newer_schema_is_refused_unless_it_says_that_we_may_run() {
        let newer = |runs_with| {
            plan(Schema {
                version: KNOWN + 1,
                runs_with,
            })
        };
        assert!(matches!(newer(KNOWN + 1), Err(DbError::SchemaNewer { .. })));
        assert!(newer(KNOWN).is_ok_and(<[_]>::is_empty));
    }
}

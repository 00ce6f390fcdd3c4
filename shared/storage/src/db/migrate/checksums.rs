//! A migration that was applied is never altered: two databases of the same schema version are the same then, whichever releases they went through.

use std::collections::BTreeMap;

use plexus_core::event::hash::{Hash, sha256};

use super::{DbError, MIGRATIONS, Migration};

pub(super) const TABLE: &str = "schema_checksums";
pub(super) const CREATE: &str = "-- migrate::create_checksums\n\
    CREATE TABLE IF NOT EXISTS schema_checksums (version BIGINT NOT NULL PRIMARY KEY, checksum BYTEA NOT NULL)";
pub(super) const FOUND: &str = "-- migrate::checksums\n\
    SELECT version, checksum FROM schema_checksums";
pub(super) const RECORD: &str = "-- migrate::record_checksum\n\
    INSERT INTO schema_checksums (version, checksum) VALUES ($1, $2)";

/// The checksum of each migration that a database has gone through.
pub(super) type Checksums = BTreeMap<i64, Vec<u8>>;

impl Migration {
    fn checksum(&self) -> Hash {
        sha256(self.sql.as_bytes())
    }
}

/// Refuses a database that went through another form of a migration than this program has.
pub(super) fn check(applied: &Checksums) -> Result<(), DbError> {
    let altered = MIGRATIONS.iter().find(|migration| {
        let applied = applied.get(&migration.version);
        applied.is_some_and(|applied| *applied != migration.checksum())
    });
    match altered {
        Some(migration) => Err(DbError::SchemaAltered {
            version: migration.version,
        }),
        None => Ok(()),
    }
}

/// What is to be recorded once every migration is applied. A database of a program that did not record any has the forms of its time, which are ours.
pub(super) fn unrecorded(applied: &Checksums) -> impl Iterator<Item = (i64, Hash)> {
    let missing = MIGRATIONS
        .iter()
        .filter(|migration| !applied.contains_key(&migration.version));
    missing.map(|migration| (migration.version, migration.checksum()))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The migrations that databases out there went through; a new one is added when it is merged.
    const KNOWN: [&str; 12] = [
        "7a193fae884784b85071c8693444720003d9f3120312ea1da046fa2e1c452dac",
        "7f9b46d9bbcf85cedcb116d81679e90f32f1dec8d4a2d2bd39a02b9f3afc5cee",
        "4ed1c08a11c5f0bb6b97550a2da8c77caaa84f6ddad4161e1fe0a9130f44081d",
        "a9b5b29db83b9bdd8fc433ba2b57222a65b8c5896fb392034e9380eb0dc7b390",
        "a799ac9fe0acad30249feca85276a3503eaccdaa75159d625e122c349f41b5c2",
        "59214ad0bea72a9eb08d71758edbaef3858b88ead8d61475fcf7971e24112855",
        "72b3d2fe815575ed53d65f24e567b2762e46aee20b9546e5a70b9d4a66c2208d",
        "b15c0cb73e40791f93a4ce2c17dd34bef19596fd17873756a7ad9e7310057788",
        "335d66b5a8254aacb33a1f3b4bf3c374a23f8c2cbad7072cac24359efddcfa56",
        "cf36945492168495642e82a53e42666695b87ec3d6b144cba5a4db08ae38c701",
        "f4a4324a69bec880691853be656d373ab2c7cef7cd09960889e1cdab8e40afa3",
        "33a68db3d585c6406d2837c9b75a58096e95651f0991743450960d02f2948ff1",
    ];

    #[test]
    fn seed_5268_migrations_are_immutable() {
        for (migration, known) in MIGRATIONS.iter().zip(KNOWN) {
            let checksum = migration.checksum().iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").expect("writing to memory");
                text
            });
            assert_eq!(
                checksum, known,
                "migration {} was altered: write a new one instead",
                migration.version
            );
        }
    }

    #[test]
    fn seed_5268_an_altered_migration_is_told_from_an_unrecorded_one() {
        let all: Checksums = unrecorded(&Checksums::new())
            .map(|(version, checksum)| (version, checksum.to_vec()))
            .collect();
        assert_eq!(all.len(), MIGRATIONS.len());
        assert!(check(&all).is_ok());
        assert_eq!(unrecorded(&all).count(), 0);
        let mut some = all.clone();
        some.remove(&1);
        assert!(check(&some).is_ok());
        assert_eq!(unrecorded(&some).map(|(version, _)| version).collect::<Vec<_>>(), [1]);
        for version in 1..=all.len() {
            let version = i64::try_from(version).expect("a small number");
            let mut altered = all.clone();
            altered.insert(version, vec![0; 32]);
            let refused = check(&altered);
            assert!(matches!(refused, Err(DbError::SchemaAltered { version: of }) if of == version));
        }
        // What a newer program recorded is not ours to judge.
        let mut newer = all;
        newer.insert(99, vec![0; 32]);
        assert!(check(&newer).is_ok());
    }
}

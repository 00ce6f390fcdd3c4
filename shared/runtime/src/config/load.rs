//! From a file, the environment and the command line to one configuration, with errors that name the key, its place and what is allowed.

use std::{collections::BTreeMap, path::PathBuf};

use toml::de::{DeTable, DeValue};

use super::{
    ConfigError,
    reference::{Key, default_of, keys},
    secret::Secret,
    sections::Config,
};

/// Largest configuration file that is read.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// What every environment variable of ours begins with.
const ENVIRONMENT_PREFIX: &str = "PLEXUS_";

/// Where a configuration comes from. Later ones win: file, environment, command line.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, if one is named.
    pub file: Option<PathBuf>,
    /// The environment's variables.
    pub environment: Vec<(String, String)>,
    /// `section.key=value` from the command line.
    pub set: Vec<String>,
}

/// Where each key was set (file and line, variable or option). One that nobody set has its default and is not here.
pub(super) type Places = BTreeMap<String, String>;

/// What has been put together so far, and all that is wrong with it.
#[derive(Debug, Default)]
struct Merging {
    table: toml::Table,
    places: Places,
    wrong: Vec<ConfigError>,
}

/// Reads the sources and puts them together; rules about values that fit their type are not checked here.
pub(super) fn merge(sources: &Sources) -> Result<(Config, Places), ConfigError> {
    let mut merging = match &sources.file {
        Some(path) => read_file(path)?,
        None => Merging::default(),
    };
    let mut secrets = Vec::new();
    for (name, value) in &sources.environment {
        match environment_key(name) {
            Ok(Some(EnvironmentKey::Plain(key))) => set(&mut merging, &key, value, name),
            Ok(Some(EnvironmentKey::Secret(secret))) => secrets.push((secret, value)),
            Ok(None) => {}
            Err(error) => merging.wrong.push(error),
        }
    }
    for assignment in &sources.set {
        let Some((path, value)) = assignment.split_once('=') else {
            merging.wrong.push(ConfigError::Assignment(assignment.clone()));
            continue;
        };
        let place = format!("--set {path}");
        match find_key(path) {
            Some(key) => set(&mut merging, &key, value, &place),
            None => merging.wrong.push(unknown(&place, path)),
        }
    }
    let Merging { table, places, wrong } = merging;
    ConfigError::all(wrong)?;
    // Each piece has been tried on its own, so together they fit too.
    let mut config = Config::try_from_table(table).map_err(|message| ConfigError::Syntax {
        place: "the configuration".to_owned(),
        message,
    })?;
    for (secret, value) in secrets {
        *secret.field(&mut config) = Secret::new(value.clone());
    }
    read_secret_files(&mut config, &places)?;
    Ok((config, places))
}

/// A secret that the environment may hold.
#[derive(Clone, Copy)]
enum EnvironmentSecret {
    Internal,
    Registration,
    RegistrationTokens,
    Turn,
    TurnPassword,
}

impl EnvironmentSecret {
    /// By the rest of the variable's name.
    fn parse(rest: &str) -> Option<Self> {
        match rest {
            "INTERNAL__SECRET" => Some(Self::Internal),
            "REGISTRATION__SHARED_SECRET" => Some(Self::Registration),
            "REGISTRATION__TOKENS" => Some(Self::RegistrationTokens),
            "TURN__SECRET" => Some(Self::Turn),
            "TURN__PASSWORD" => Some(Self::TurnPassword),
            _ => None,
        }
    }

    fn field(self, config: &mut Config) -> &mut Secret {
        match self {
            Self::Internal => &mut config.internal.secret,
            Self::Registration => &mut config.registration.shared_secret,
            Self::RegistrationTokens => &mut config.registration.tokens,
            Self::Turn => &mut config.turn.secret,
            Self::TurnPassword => &mut config.turn.password,
        }
    }
}

enum EnvironmentKey {
    Plain(Key),
    Secret(EnvironmentSecret),
}

/// What a variable sets. A name with `__` in it has to be one of ours; others (`PLEXUS_PORT`, as Kubernetes makes for a service called plexus) are ignored.
fn environment_key(name: &str) -> Result<Option<EnvironmentKey>, ConfigError> {
    let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
        return Ok(None);
    };
    if let Some(secret) = EnvironmentSecret::parse(rest) {
        return Ok(Some(EnvironmentKey::Secret(secret)));
    }
    let path = rest.to_lowercase().replacen("__", ".", 1);
    match find_key(&path) {
        Some(key) => Ok(Some(EnvironmentKey::Plain(key))),
        None if rest.contains("__") => Err(unknown(&format!("environment variable {name}"), &path)),
        None => Ok(None),
    }
}

/// A file named on purpose wins over nothing, and a secret from the environment over a file.
fn read_secret_files(config: &mut Config, places: &Places) -> Result<(), ConfigError> {
    let files = [
        (
            EnvironmentSecret::Internal,
            "internal.secret_file",
            &config.internal.secret_file,
        ),
        (
            EnvironmentSecret::Registration,
            "registration.shared_secret_file",
            &config.registration.shared_secret_file,
        ),
        (
            EnvironmentSecret::RegistrationTokens,
            "registration.tokens_file",
            &config.registration.tokens_file,
        ),
        (EnvironmentSecret::Turn, "turn.secret_file", &config.turn.secret_file),
        (
            EnvironmentSecret::TurnPassword,
            "turn.password_file",
            &config.turn.password_file,
        ),
    ];
    for (secret, key, path) in files.map(|(secret, key, path)| (secret, key, path.clone())) {
        if !secret.field(config).is_empty() || path == PathBuf::new() {
            continue;
        }
        *secret.field(config) = Secret::from_file(&path).map_err(|source| ConfigError::SecretFile {
            place: places.get(key).cloned().unwrap_or_default(),
            key,
            path,
            source,
        })?;
    }
    Ok(())
}

fn read_file(path: &PathBuf) -> Result<Merging, ConfigError> {
    let unreadable = |source| ConfigError::File {
        path: path.clone(),
        source,
    };
    if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_MAX_BYTES {
        return Err(unreadable(std::io::Error::other(format!(
            "longer than {FILE_MAX_BYTES} bytes"
        ))));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    parse(&path.display().to_string(), &text)
}

/// Parses a file's text, and tries each key on its own while its line is known.
fn parse(name: &str, text: &str) -> Result<Merging, ConfigError> {
    let place = |at: usize| {
        let before = text.get(..at).unwrap_or(text);
        format!("{name} line {}", before.matches('\n').count() + 1)
    };
    let syntax = |error: toml::de::Error| ConfigError::Syntax {
        place: place(error.span().map_or(text.len(), |span| span.start)),
        message: error.message().to_owned(),
    };
    let table: toml::Table = toml::from_str(text).map_err(syntax)?;
    let mut merging = Merging::default();
    for (at, section, written) in written_keys(text).map_err(syntax)? {
        let place = place(at);
        let (within, path) = match &section {
            Some(section) => (table.get(section), format!("{section}.{written}")),
            None => (None, written.clone()),
        };
        let value = within.map_or_else(|| table.get(&written), |section| section.get(&written));
        match (find_key(&path), value) {
            (Some(key), Some(value)) => take(&mut merging, &key, value.clone(), &place),
            (_, Some(toml::Value::Table(_))) if section.is_none() => {
                merging.wrong.push(unknown_section(&place, &written));
            }
            _ if section.is_none() && sections().contains(&written) => merging.wrong.push(ConfigError::Syntax {
                place,
                message: format!("{written:?} is a section: write [{written}], and its keys below"),
            }),
            _ => merging.wrong.push(unknown(&place, &path)),
        }
    }
    Ok(merging)
}

/// Every key of the text in the order of its lines: where it begins, its section and its name. A section that does not exist counts as a key at the top.
fn written_keys(text: &str) -> Result<Vec<(usize, Option<String>, String)>, toml::de::Error> {
    let sections = sections();
    let mut found = Vec::new();
    for (name, value) in DeTable::parse(text)?.get_ref() {
        let top = name.get_ref().to_string();
        if let DeValue::Table(section) = value.get_ref()
            && sections.contains(&top)
        {
            let keys = section.keys();
            found.extend(keys.map(|key| (key.span().start, Some(top.clone()), key.get_ref().to_string())));
        } else {
            found.push((name.span().start, None, top));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn find_key(path: &str) -> Option<Key> {
    keys().into_iter().find(|key| key.path() == path)
}

/// Takes one value from text, read as the type the key's default has.
fn set(merging: &mut Merging, key: &Key, text: &str, place: &str) {
    let defaults = toml::Table::try_from(Config::default()).expect("the default configuration is a table");
    let value = match default_of(&defaults, key) {
        Some(toml::Value::Boolean(_)) => text
            .parse()
            .map(toml::Value::Boolean)
            .map_err(|_| format!("{text:?} is not true or false")),
        Some(toml::Value::Integer(_)) => text
            .parse()
            .map(toml::Value::Integer)
            .map_err(|_| format!("{text:?} is not a whole number")),
        Some(toml::Value::Array(_)) => list(text),
        _ => Ok(toml::Value::String(text.to_owned())),
    };
    match value {
        Ok(value) => take(merging, key, value, place),
        Err(message) => merging.wrong.push(refused(key, place, message)),
    }
}

/// A list as it is written in the file, or one value of it.
fn list(text: &str) -> Result<toml::Value, String> {
    if !text.trim_start().starts_with('[') {
        return Ok(toml::Value::Array(vec![toml::Value::String(text.to_owned())]));
    }
    let table = format!("list = {text}").parse::<toml::Table>();
    let list = table.ok().filter(|table| table.len() == 1);
    let list = list.and_then(|mut table| table.remove("list"));
    list.ok_or_else(|| format!("{text:?} is not a list"))
}

/// Puts one value into the table if it fits.
fn take(merging: &mut Merging, key: &Key, value: toml::Value, place: &str) {
    let mut alone = toml::Table::new();
    place_value(&mut alone, key, value.clone());
    match Config::try_from_table(alone) {
        Ok(_) => {
            place_value(&mut merging.table, key, value);
            merging.places.insert(key.path(), place.to_owned());
        }
        Err(message) => merging.wrong.push(refused(key, place, message)),
    }
}

fn refused(key: &Key, place: &str, message: String) -> ConfigError {
    ConfigError::Value {
        place: place.to_owned(),
        key: key.path(),
        message,
        allowed: key.docs.join(" "),
    }
}

fn place_value(table: &mut toml::Table, key: &Key, value: toml::Value) {
    if key.section.is_empty() {
        table.insert(key.name.clone(), value);
        return;
    }
    let section = table
        .entry(key.section.clone())
        .or_insert_with(|| toml::Value::Table(toml::Table::new()));
    // Only this function makes sections, and it makes tables.
    if let toml::Value::Table(section) = section {
        section.insert(key.name.clone(), value);
    }
}

impl Config {
    fn try_from_table(table: toml::Table) -> Result<Self, String> {
        table
            .try_into()
            .map_err(|error: toml::de::Error| error.message().to_owned())
    }
}

/// The error for a key that does not exist: the nearest one that does, and all of its section.
fn unknown(place: &str, path: &str) -> ConfigError {
    let sections = sections();
    let section = match path.split_once('.') {
        Some((section, _)) if !sections.iter().any(|known| known == section) => return unknown_section(place, section),
        Some((section, _)) => section,
        None => "",
    };
    let keys = keys();
    let names = keys.iter().filter(|key| key.section == section);
    let allowed = names.map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ");
    ConfigError::UnknownKey {
        place: place.to_owned(),
        key: path.to_owned(),
        nearest: nearest(keys.iter().map(Key::path), path),
        allowed: if section.is_empty() {
            format!("at the top: {allowed}; sections: {}", sections.join(", "))
        } else {
            format!("in [{section}]: {allowed}")
        },
    }
}

/// The error for a section that does not exist.
fn unknown_section(place: &str, section: &str) -> ConfigError {
    let sections = sections();
    ConfigError::UnknownSection {
        place: place.to_owned(),
        section: section.to_owned(),
        allowed: sections.join(", "),
        nearest: nearest(sections.into_iter(), section),
    }
}

/// The sections there are.
fn sections() -> Vec<String> {
    let mut sections: Vec<String> = keys().into_iter().map(|key| key.section).collect();
    sections.retain(|section| !section.is_empty());
    sections.dedup();
    sections
}

/// The one that looks most like what was written.
fn nearest(known: impl Iterator<Item = String>, written: &str) -> String {
    known.min_by_key(|known| distance(known, written)).unwrap_or_default()
}

/// How many characters have to be changed, added or removed to get from one key to another (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests;

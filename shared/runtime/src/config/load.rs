//! From a file, the environment and the command line to one configuration, with errors that name the key, its place and what is allowed.

use std::{ops::Range, path::PathBuf};

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

/// Reads the sources and puts them together; rules that span several keys are not checked here.
pub(super) fn merge(sources: &Sources) -> Result<Config, ConfigError> {
    let mut table = match &sources.file {
        Some(path) => read_file(path)?,
        None => toml::Table::new(),
    };
    let mut secrets = Vec::new();
    for (name, value) in &sources.environment {
        match environment_key(name)? {
            Some(EnvironmentKey::Plain(key)) => set(&mut table, &key, value, name)?,
            Some(EnvironmentKey::Secret(secret)) => secrets.push((secret, value)),
            None => {}
        }
    }
    for assignment in &sources.set {
        let (path, value) = assignment
            .split_once('=')
            .ok_or_else(|| ConfigError::Assignment(assignment.clone()))?;
        let place = format!("--set {path}");
        let key = find_key(path).ok_or_else(|| unknown(&place, path))?;
        set(&mut table, &key, value, &place)?;
    }
    // Each piece has been tried on its own, so together they fit too.
    let mut config: Config = table.try_into().map_err(|error: toml::de::Error| ConfigError::Syntax {
        place: "the configuration".to_owned(),
        message: error.message().to_owned(),
    })?;
    for (secret, value) in secrets {
        *secret.field(&mut config) = Secret::new(value.clone());
    }
    read_secret_files(&mut config)?;
    Ok(config)
}

/// A secret that the environment may hold.
#[derive(Clone, Copy)]
enum EnvironmentSecret {
    Internal,
    Registration,
}

impl EnvironmentSecret {
    fn field(self, config: &mut Config) -> &mut Secret {
        match self {
            Self::Internal => &mut config.internal.secret,
            Self::Registration => &mut config.registration.shared_secret,
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
    match rest {
        "INTERNAL__SECRET" => return Ok(Some(EnvironmentKey::Secret(EnvironmentSecret::Internal))),
        "REGISTRATION__SHARED_SECRET" => return Ok(Some(EnvironmentKey::Secret(EnvironmentSecret::Registration))),
        _ => {}
    }
    let path = rest.to_lowercase().replacen("__", ".", 1);
    match find_key(&path) {
        Some(key) => Ok(Some(EnvironmentKey::Plain(key))),
        None if rest.contains("__") => Err(unknown(&format!("environment variable {name}"), &path)),
        None => Ok(None),
    }
}

/// A file named on purpose wins over nothing, and a secret from the environment over a file.
fn read_secret_files(config: &mut Config) -> Result<(), ConfigError> {
    let read = |key: &'static str, path: &PathBuf| {
        Secret::from_file(path).map_err(|source| ConfigError::SecretFile {
            key,
            path: path.clone(),
            source,
        })
    };
    if config.internal.secret.is_empty() && config.internal.secret_file != PathBuf::new() {
        config.internal.secret = read("internal.secret_file", &config.internal.secret_file)?;
    }
    if config.registration.shared_secret.is_empty() && config.registration.shared_secret_file != PathBuf::new() {
        config.registration.shared_secret = read(
            "registration.shared_secret_file",
            &config.registration.shared_secret_file,
        )?;
    }
    Ok(())
}

fn read_file(path: &PathBuf) -> Result<toml::Table, ConfigError> {
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

/// Parses a file's text and makes sure that it fits the structs, while the places of its keys are still known.
fn parse(name: &str, text: &str) -> Result<toml::Table, ConfigError> {
    toml::from_str::<Config>(text).map_err(|error| explain(name, text, &error))?;
    toml::from_str(text).map_err(|error| explain(name, text, &error))
}

/// Names the line and the key of an error.
fn explain(name: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error
        .span()
        .unwrap_or(Range {
            start: text.len(),
            end: text.len(),
        })
        .start
        .min(text.len());
    let before = text.get(..at).unwrap_or(text);
    let place = format!("{name} line {}", before.matches('\n').count() + 1);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let written = line
        .split_once('=')
        .map_or(line, |(key, _)| key)
        .trim()
        .trim_matches(['[', ']'])
        .to_owned();
    let section = before[..line_start]
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix('[')?.split_once(']'))
        .map_or("", |(section, _)| section);
    let path = if section.is_empty() || line.trim_start().starts_with('[') {
        written
    } else {
        format!("{section}.{written}")
    };
    if error.message().starts_with("unknown field") {
        return unknown(&place, &path);
    }
    match find_key(&path) {
        Some(key) => ConfigError::Value {
            place,
            key: path,
            message: error.message().to_owned(),
            allowed: key.docs.join(" "),
        },
        None => ConfigError::Syntax {
            place,
            message: error.message().to_owned(),
        },
    }
}

fn find_key(path: &str) -> Option<Key> {
    keys().into_iter().find(|key| key.path() == path)
}

/// Puts one value into the table, read as the type the key's default has, and makes sure that it fits.
fn set(table: &mut toml::Table, key: &Key, text: &str, place: &str) -> Result<(), ConfigError> {
    let refuse = |message: String| ConfigError::Value {
        place: place.to_owned(),
        key: key.path(),
        message,
        allowed: key.docs.join(" "),
    };
    let defaults = toml::Table::try_from(Config::default()).expect("the default configuration is a table");
    let value = match default_of(&defaults, key) {
        Some(toml::Value::Boolean(_)) => toml::Value::Boolean(
            text.parse()
                .map_err(|_| refuse(format!("{text:?} is not true or false")))?,
        ),
        Some(toml::Value::Integer(_)) => toml::Value::Integer(
            text.parse()
                .map_err(|_| refuse(format!("{text:?} is not a whole number")))?,
        ),
        _ => toml::Value::String(text.to_owned()),
    };
    let mut alone = toml::Table::new();
    place_value(&mut alone, key, value.clone());
    Config::try_from_table(alone).map_err(refuse)?;
    place_value(table, key, value);
    Ok(())
}

fn place_value(table: &mut toml::Table, key: &Key, value: toml::Value) {
    if key.section.is_empty() {
        table.insert(key.name.clone(), value);
        return;
    }
    let section = table
        .entry(key.section.clone())
        .or_insert_with(|| toml::Value::Table(toml::Table::new()));
    // A file whose section is no table has been refused before.
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
    let keys = keys();
    let nearest = keys
        .iter()
        .map(Key::path)
        .min_by_key(|known| distance(known, path))
        .unwrap_or_default();
    let section = path.split_once('.').map_or("", |(section, _)| section);
    let mut allowed: Vec<&str> = keys
        .iter()
        .filter(|key| key.section == section)
        .map(|key| key.name.as_str())
        .collect();
    let allowed_in = if allowed.is_empty() || section.is_empty() {
        let mut sections: Vec<&str> = keys
            .iter()
            .filter(|key| !key.section.is_empty())
            .map(|key| key.section.as_str())
            .collect();
        sections.dedup();
        allowed = keys
            .iter()
            .filter(|key| key.section.is_empty())
            .map(|key| key.name.as_str())
            .collect();
        format!("at the top: {}; sections: {}", allowed.join(", "), sections.join(", "))
    } else {
        format!("in [{section}]: {}", allowed.join(", "))
    };
    ConfigError::UnknownKey {
        place: place.to_owned(),
        key: path.to_owned(),
        nearest,
        allowed: allowed_in,
    }
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

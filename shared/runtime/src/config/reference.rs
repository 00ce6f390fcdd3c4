//! What keys there are, read from the comments of `sections.rs`, so that documentation cannot differ from the structs.

use std::{fmt::Write as _, iter::Peekable, str::Lines};

use super::sections::Config;

/// The structs and their comments.
const SOURCE: &str = include_str!("sections.rs");

/// What `plexus config example` prints first.
const PREAMBLE: &str = "\
# The configuration of Plexus, with every key and its default. Printed by `plexus config example`.
#
# Leave out what you do not change; no file at all works too. A key can also come from the environment, as PLEXUS_SECTION__KEY
# (PLEXUS_LISTEN__ADDRESS, PLEXUS_SERVER_NAME), or from the command line, as --set section.key=value. The command line wins over the environment,
# and the environment over this file. `plexus config check` says what is wrong with a file.
";

/// A key of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The section it is in; empty for those at the top.
    pub(super) section: String,
    /// Its name in the section.
    pub(super) name: String,
    /// What it means, line by line.
    pub(super) docs: Vec<String>,
}

impl Key {
    /// `section.name`, or `name` at the top.
    pub(super) fn path(&self) -> String {
        if self.section.is_empty() {
            self.name.clone()
        } else {
            format!("{}.{}", self.section, self.name)
        }
    }
}

/// A field of a struct in the source.
struct Field {
    docs: Vec<String>,
    name: String,
    type_name: String,
}

/// Every key, in the order of the source: those at the top first.
pub(super) fn keys() -> Vec<Key> {
    let sections = fields_of("Config");
    let (tables, plain): (Vec<Field>, Vec<Field>) = sections.into_iter().partition(|field| is_struct(&field.type_name));
    let top = plain.into_iter().map(|field| key(String::new(), field));
    let nested = tables.into_iter().flat_map(|table| {
        fields_of(&table.type_name)
            .into_iter()
            .map(move |field| key(table.name.clone(), field))
    });
    top.chain(nested).collect()
}

/// The example file: every key with its meaning and its default.
pub fn example() -> String {
    let defaults = toml::Table::try_from(Config::default()).expect("the default configuration is a table");
    let mut text = PREAMBLE.to_owned();
    let mut section = String::new();
    for key in keys() {
        if key.section != section {
            section.clone_from(&key.section);
            let _infallible = write!(text, "\n{}[{section}]\n", comment(&section_docs(&section)));
        } else if section.is_empty() {
            text.push('\n');
        }
        let value = default_of(&defaults, &key).expect("every documented key has a default");
        let _infallible = writeln!(text, "{}{} = {value}", comment(&key.docs), key.name);
    }
    text
}

/// The default of a key in the table of all defaults.
pub(super) fn default_of<'a>(defaults: &'a toml::Table, key: &Key) -> Option<&'a toml::Value> {
    if key.section.is_empty() {
        defaults.get(&key.name)
    } else {
        defaults.get(&key.section)?.get(&key.name)
    }
}

fn key(section: String, field: Field) -> Key {
    Key {
        section,
        name: field.name,
        docs: field.docs,
    }
}

fn comment(docs: &[String]) -> String {
    docs.iter().fold(String::new(), |text, line| text + "# " + line + "\n")
}

fn section_docs(section: &str) -> Vec<String> {
    fields_of("Config")
        .into_iter()
        .find(|field| field.name == section)
        .map(|field| field.docs)
        .unwrap_or_default()
}

fn is_struct(type_name: &str) -> bool {
    SOURCE.contains(&format!("pub struct {type_name} {{"))
}

/// The fields of a struct that the file may set: not those serde skips.
fn fields_of(struct_name: &str) -> Vec<Field> {
    let mut lines = SOURCE.lines().peekable();
    let head = format!("pub struct {struct_name} {{");
    lines.by_ref().find(|line| *line == head);
    let mut fields = Vec::new();
    while let Some((field, skipped)) = next_field(&mut lines) {
        if !skipped {
            fields.push(field);
        }
    }
    fields
}

/// The next field before the closing brace, and whether serde skips it.
fn next_field(lines: &mut Peekable<Lines<'static>>) -> Option<(Field, bool)> {
    let mut docs = Vec::new();
    let mut skipped = false;
    for line in lines.by_ref() {
        let line = line.trim();
        if let Some(doc) = line.strip_prefix("/// ") {
            docs.push(doc.to_owned());
        } else if line == "#[serde(skip)]" {
            skipped = true;
        } else if let Some((name, type_name)) = line.strip_prefix("pub ").and_then(|field| field.split_once(": ")) {
            let field = Field {
                docs,
                name: name.to_owned(),
                type_name: type_name.trim_end_matches(',').to_owned(),
            };
            return Some((field, skipped));
        } else if line == "}" {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_documented_and_has_a_default() {
        let defaults = toml::Table::try_from(Config::default()).expect("a table");
        let keys = keys();
        for key in &keys {
            assert!(!key.docs.is_empty(), "{} has no comment", key.path());
            assert!(default_of(&defaults, key).is_some(), "{} has no default", key.path());
        }
        let documented = keys.len();
        let existing: usize = defaults
            .values()
            .map(|value| value.as_table().map_or(1, toml::Table::len))
            .sum();
        assert_eq!(
            documented, existing,
            "a key of the structs is not among the documented ones"
        );
    }

    #[test]
    fn the_example_is_the_default_configuration() {
        assert_eq!(toml::from_str::<Config>(&example()).expect("valid"), Config::default());
    }

    #[test]
    fn the_shipped_example_is_what_the_program_prints() {
        let shipped = include_str!("../../../../deploy/plexus.example.toml");
        assert_eq!(
            shipped,
            example(),
            "run `plexus config example > deploy/plexus.example.toml`"
        );
    }
}

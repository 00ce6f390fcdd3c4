//! A filter as its JSON has it.
//!
//! A field that is null counts as absent, since clients send that; a field of another type is an error that names it. Unknown fields are ignored.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::error::Category;

use super::{EventFormat, FILTER_BYTES_MAX, FilterError};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FilterDefinition {
    pub(super) event_fields: Option<Vec<String>>,
    event_format: Option<String>,
    #[serde(deserialize_with = "section")]
    pub(super) presence: EventDefinition,
    #[serde(deserialize_with = "section")]
    pub(super) account_data: EventDefinition,
    #[serde(deserialize_with = "section")]
    pub(super) room: RoomDefinition,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RoomDefinition {
    pub(super) rooms: Option<Vec<String>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) not_rooms: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) include_leave: bool,
    #[serde(deserialize_with = "section")]
    pub(super) timeline: RoomEventDefinition,
    #[serde(deserialize_with = "section")]
    pub(super) state: RoomEventDefinition,
    #[serde(deserialize_with = "section")]
    pub(super) ephemeral: RoomEventDefinition,
    #[serde(deserialize_with = "section")]
    pub(super) account_data: RoomEventDefinition,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RoomEventDefinition {
    pub(super) limit: Option<i64>,
    pub(super) types: Option<Vec<String>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) not_types: Vec<String>,
    pub(super) senders: Option<Vec<String>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) not_senders: Vec<String>,
    pub(super) rooms: Option<Vec<String>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) not_rooms: Vec<String>,
    pub(super) contains_url: Option<bool>,
    #[serde(deserialize_with = "or_default")]
    pub(super) lazy_load_members: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) include_redundant_members: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) unread_thread_notifications: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EventDefinition {
    pub(super) limit: Option<i64>,
    pub(super) types: Option<Vec<String>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) not_types: Vec<String>,
    pub(super) senders: Option<Vec<String>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) not_senders: Vec<String>,
}

impl FilterDefinition {
    pub(super) fn event_format(&self) -> Result<EventFormat, FilterError> {
        event_format(self.event_format.as_deref())
    }
}

pub(super) fn event_format(word: Option<&str>) -> Result<EventFormat, FilterError> {
    match word {
        None | Some("client") => Ok(EventFormat::Client),
        Some("federation") => Ok(EventFormat::Federation),
        Some(_) => Err(FilterError::Bad(
            "`event_format` is neither `client` nor `federation`".to_owned(),
        )),
    }
}

pub(super) fn parse<T: DeserializeOwned + Default>(json: &[u8]) -> Result<T, FilterError> {
    if json.len() > FILTER_BYTES_MAX {
        return Err(FilterError::TooLarge);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let parsed = section(&mut deserializer).and_then(|parsed| deserializer.end().map(|()| parsed));
    parsed.map_err(|error| match error.classify() {
        Category::Data => FilterError::Bad(format!("not a filter: {error}")),
        Category::Io | Category::Syntax | Category::Eof => FilterError::NotJson,
    })
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An object, or null. What serde derives would read an array as well.
fn section<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(SectionVisitor(PhantomData))
}

struct SectionVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for SectionVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }
}

//! Filters of clients, compiled: which events a sync, a page or a search may show, and which of their fields.
//!
//! A filter comes from outside, is kept for good and is applied to every event, so what it may hold is bounded and every match takes time in proportion to
//! the text that is matched. See <https://spec.matrix.org/v1.16/client-server-api/#filtering>.

mod definition;
mod fields;
mod glob;
mod page;
#[cfg(test)]
mod tests;

use definition::{EventDefinition, FilterDefinition, RoomDefinition, RoomEventDefinition};

pub use self::{
    fields::Fields,
    glob::{GLOBS_MAX, Names},
    page::{PageFilter, RelatedBy},
};

/// Largest filter, as JSON.
pub const FILTER_BYTES_MAX: usize = 64 << 10;

/// How many events a filter may ask for at once; more is cut to this.
pub const LIMIT_MAX: usize = 1000;

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Not JSON (`M_NOT_JSON` in a body).
    #[error("the filter is not JSON")]
    NotJson,
    /// JSON, but not as a filter has it (`M_BAD_JSON` in a body).
    #[error("{0}")]
    Bad(String),
    /// Larger than [`FILTER_BYTES_MAX`].
    #[error("the filter is larger than {FILTER_BYTES_MAX} bytes")]
    TooLarge,
}

/// In which form events are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventFormat {
    /// As the client API has them.
    #[default]
    Client,
    /// As servers have them.
    Federation,
}

/// A filter of a sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The fields to show; `None`: all.
    pub event_fields: Option<Fields>,
    /// In which form.
    pub event_format: EventFormat,
    /// For presence.
    pub presence: EventFilter,
    /// For account data outside of rooms.
    pub account_data: EventFilter,
    /// For rooms.
    pub room: RoomFilter,
}

/// The part of a filter that is about rooms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomFilter {
    rooms: RoomSet,
    /// Whether an initial sync shows rooms the user has left.
    pub include_leave: bool,
    /// For the timeline.
    pub timeline: RoomEventFilter,
    /// For the state.
    pub state: RoomEventFilter,
    /// For typing and receipts.
    pub ephemeral: RoomEventFilter,
    /// For account data of rooms.
    pub account_data: RoomEventFilter,
}

/// A filter on events of rooms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomEventFilter {
    /// What it says about all kinds of events.
    pub events: EventFilter,
    rooms: RoomSet,
    contains_url: Option<bool>,
    /// Whether member events are left out unless they are of the senders shown.
    pub lazy_load_members: bool,
    /// Whether such member events are repeated though the client has them.
    pub include_redundant_members: bool,
    /// Whether unread counts are given for each thread.
    pub unread_thread_notifications: bool,
}

/// A filter on events of any kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// How many events to show at most; never above [`LIMIT_MAX`].
    pub limit: Option<usize>,
    types: Option<Names>,
    not_types: Names,
    senders: Option<Names>,
    not_senders: Names,
}

/// Rooms to show, and rooms not to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RoomSet {
    rooms: Option<Names>,
    not_rooms: Names,
}

impl Filter {
    /// Reads the filter of a sync.
    pub fn parse(json: &[u8]) -> Result<Self, FilterError> {
        let definition: FilterDefinition = definition::parse(json)?;
        let event_format = definition.event_format()?;
        Ok(Self {
            event_fields: definition
                .event_fields
                .map(|paths| Fields::compile(&paths))
                .transpose()?,
            event_format,
            presence: EventFilter::compile(definition.presence, "presence")?,
            account_data: EventFilter::compile(definition.account_data, "account_data")?,
            room: RoomFilter::compile(definition.room)?,
        })
    }
}

impl RoomFilter {
    /// Whether anything of a room is shown.
    pub fn shows_room(&self, room_id: &str) -> bool {
        self.rooms.contains(room_id)
    }

    fn compile(definition: RoomDefinition) -> Result<Self, FilterError> {
        Ok(Self {
            rooms: RoomSet::compile(definition.rooms, &definition.not_rooms)?,
            include_leave: definition.include_leave,
            timeline: RoomEventFilter::compile(definition.timeline, "room.timeline")?,
            state: RoomEventFilter::compile(definition.state, "room.state")?,
            ephemeral: RoomEventFilter::compile(definition.ephemeral, "room.ephemeral")?,
            account_data: RoomEventFilter::compile(definition.account_data, "room.account_data")?,
        })
    }
}

impl RoomEventFilter {
    /// Reads the filter of a page, a context or a search.
    pub fn parse(json: &[u8]) -> Result<Self, FilterError> {
        Self::compile(definition::parse(json)?, "filter")
    }

    /// Whether events of a room are shown at all.
    pub fn shows_room(&self, room_id: &str) -> bool {
        self.rooms.contains(room_id)
    }

    /// Whether an event is shown, in a room that is. `has_url` is asked only if it matters.
    pub fn shows(&self, kind: &str, sender: &str, has_url: impl FnOnce() -> bool) -> bool {
        self.events.shows(kind, Some(sender)) && self.contains_url.is_none_or(|wanted| wanted == has_url())
    }

    /// Whether every event of a room that is shown is shown: nothing has to be asked for each.
    pub fn shows_all(&self) -> bool {
        self.events.shows_all() && self.contains_url.is_none()
    }

    fn compile(definition: RoomEventDefinition, section: &'static str) -> Result<Self, FilterError> {
        let RoomEventDefinition {
            limit,
            types,
            not_types,
            senders,
            not_senders,
            ..
        } = definition;
        let events = EventDefinition {
            limit,
            types,
            not_types,
            senders,
            not_senders,
        };
        Ok(Self {
            events: EventFilter::compile(events, section)?,
            rooms: RoomSet::compile(definition.rooms, &definition.not_rooms)?,
            contains_url: definition.contains_url,
            lazy_load_members: definition.lazy_load_members,
            include_redundant_members: definition.include_redundant_members,
            unread_thread_notifications: definition.unread_thread_notifications,
        })
    }
}

impl EventFilter {
    /// Whether an event is shown. An event without a sender (typing, receipts) is shown if no senders are asked for.
    pub fn shows(&self, kind: &str, sender: Option<&str>) -> bool {
        let wanted = self
            .senders
            .as_ref()
            .is_none_or(|senders| sender.is_some_and(|sender| senders.contains(sender)));
        self.shows_type(kind) && wanted && !sender.is_some_and(|sender| self.not_senders.contains(sender))
    }

    /// Whether events of a type are shown, if their senders are.
    pub fn shows_type(&self, kind: &str) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(kind)) && !self.not_types.contains(kind)
    }

    /// Whether it shows every event.
    pub fn shows_all(&self) -> bool {
        self.types.is_none() && self.senders.is_none() && self.not_types.is_empty() && self.not_senders.is_empty()
    }

    fn compile(definition: EventDefinition, section: &'static str) -> Result<Self, FilterError> {
        let limit = match definition.limit {
            // The specification wants at least 1; clients that want no events ask for 0, and have always been given none.
            Some(limit) if limit < 0 => {
                return Err(FilterError::Bad(format!("`limit` of `{section}` must not be negative")));
            }
            limit => limit.map(|limit| usize::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX)),
        };
        Ok(Self {
            limit,
            types: definition
                .types
                .map(|types| Names::with_wildcards(&types))
                .transpose()?,
            not_types: Names::with_wildcards(&definition.not_types)?,
            senders: definition
                .senders
                .map(|senders| Names::ids(&senders, '@'))
                .transpose()?,
            not_senders: Names::ids(&definition.not_senders, '@')?,
        })
    }
}

impl RoomSet {
    fn contains(&self, room_id: &str) -> bool {
        self.rooms.as_ref().is_none_or(|rooms| rooms.contains(room_id)) && !self.not_rooms.contains(room_id)
    }

    fn compile(rooms: Option<Vec<String>>, not_rooms: &[String]) -> Result<Self, FilterError> {
        Ok(Self {
            rooms: rooms.map(|rooms| Names::ids(&rooms, '!')).transpose()?,
            not_rooms: Names::ids(not_rooms, '!')?,
        })
    }
}

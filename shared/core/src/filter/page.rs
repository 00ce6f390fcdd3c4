//! The filter of a page of events: that of a room's events, and what only pages know.

use serde::Deserialize;

use super::{EventFormat, Fields, FilterError, RoomEventFilter, definition};

/// Most names of each kind in what relates to an event.
const NAMES_MAX: usize = 100;

/// A filter of `/messages` or `/context`.
///
/// The format and the fields of its events are no part of the specification's `RoomEventFilter`, but clients of 2019 say them here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageFilter {
    /// Which events.
    pub events: RoomEventFilter,
    /// In which form.
    pub event_format: EventFormat,
    /// The fields to show; `None`: all.
    pub event_fields: Option<Fields>,
    /// Only events that others relate to.
    pub related_by: RelatedBy,
}

/// Which events have to relate to one that is shown. Empty: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelatedBy {
    /// One by somebody of these.
    pub senders: Option<Vec<String>>,
    /// One of these `rel_type`s.
    pub rel_types: Option<Vec<String>>,
}

impl RelatedBy {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.senders.is_none() && self.rel_types.is_none()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PageDefinition {
    event_format: Option<String>,
    event_fields: Option<Vec<String>>,
    related_by_senders: Option<Vec<String>>,
    related_by_rel_types: Option<Vec<String>>,
}

impl PageFilter {
    /// Reads the filter of a page.
    pub fn parse(json: &[u8]) -> Result<Self, FilterError> {
        let definition: PageDefinition = definition::parse(json)?;
        let fields = definition.event_fields.map(|paths| Fields::compile(&paths));
        Ok(Self {
            events: RoomEventFilter::parse(json)?,
            event_format: definition::event_format(definition.event_format.as_deref())?,
            event_fields: fields.transpose()?,
            related_by: RelatedBy {
                senders: few(definition.related_by_senders, "related_by_senders")?,
                rel_types: few(definition.related_by_rel_types, "related_by_rel_types")?,
            },
        })
    }
}

fn few(names: Option<Vec<String>>, of: &str) -> Result<Option<Vec<String>>, FilterError> {
    match names {
        Some(names) if names.len() > NAMES_MAX => {
            Err(FilterError::Bad(format!("`{of}` has more than {NAMES_MAX} names")))
        }
        names => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_more_than_a_section_of_a_sync() {
        let json = r#"{"types":["m.room.message"],"event_format":"federation","event_fields":["content.body"],
            "related_by_senders":["@a:x"],"related_by_rel_types":["m.thread"]}"#;
        let filter = PageFilter::parse(json.as_bytes()).expect("a filter");
        assert!(
            filter.events.shows("m.room.message", "@a:x", || false) && !filter.events.shows("m.x", "@a:x", || false)
        );
        assert_eq!(filter.event_format, EventFormat::Federation);
        assert!(filter.event_fields.is_some());
        assert_eq!(filter.related_by.senders.as_deref(), Some(&["@a:x".to_owned()][..]));
        assert_eq!(PageFilter::parse(b"{}"), Ok(PageFilter::default()));
        assert!(PageFilter::default().related_by.is_empty());
        for bad in [r#"{"event_format":"other"}"#, r#"{"related_by_senders":"@a:x"}"#, "[]"] {
            assert!(
                matches!(PageFilter::parse(bad.as_bytes()), Err(FilterError::Bad(_))),
                "{bad}"
            );
        }
        let many = format!(r#"{{"related_by_rel_types":[{}"a"]}}"#, r#""a","#.repeat(NAMES_MAX));
        assert!(PageFilter::parse(many.as_bytes()).is_err());
    }
}

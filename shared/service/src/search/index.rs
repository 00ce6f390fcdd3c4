//! Filling the index.

use std::sync::Arc;

use plexus_core::{ids::EventNid, row::Row, words::words};
use plexus_storage::{
    db::Statement,
    events::StoredEvent,
    search::{self, Indexed},
};
use serde_json::Value;

use super::request::Part;
use crate::{Ctx, ServiceError};

/// Words of an event that it can be found by: all, unless it is made of single letters.
const WORDS_MAX: usize = 8_192;

/// What has happened, in order.
pub(crate) async fn follow(ctx: &Ctx, rows: &[Row]) -> Result<Vec<Statement>, ServiceError> {
    let mut statements = Vec::new();
    let mut new: Vec<EventNid> = Vec::new();
    for row in rows {
        if let Row::Event(event) = row {
            new.push(event.event);
        }
    }
    for event in load(ctx, &new).await? {
        statements.extend(index(ctx, &event));
    }
    // After the events: what is redacted or purged here may have been sent here.
    for row in rows {
        if let Row::Redaction { event, .. } = row {
            statements.extend(search::delete(ctx.store.db(), event.0));
        } else if let Row::Purged { events, .. } = row {
            for event in events {
                statements.extend(search::delete(ctx.store.db(), event.0));
            }
        }
    }
    Ok(statements)
}

/// Events that were there before.
pub(crate) async fn index_all(ctx: &Ctx, events: &[i64]) -> Result<Vec<Statement>, ServiceError> {
    let events: Vec<EventNid> = events.iter().copied().map(EventNid).collect();
    let events = load(ctx, &events).await?;
    Ok(events.iter().flat_map(|event| index(ctx, event)).collect())
}

/// The events that are there; one that is gone is passed over.
pub(super) async fn load(ctx: &Ctx, events: &[EventNid]) -> Result<Vec<Arc<StoredEvent>>, ServiceError> {
    Ok(ctx.store.events_there(events).await?)
}

fn index(ctx: &Ctx, event: &StoredEvent) -> Vec<Statement> {
    if event.redacted_by.is_some() || event.room_order.is_none() {
        return Vec::new();
    }
    let Some((part, text)) = text(event) else {
        return Vec::new();
    };
    let words = words(&text, WORDS_MAX);
    if words.is_empty() {
        return Vec::new();
    }
    let indexed = Indexed {
        event: event.nid.0,
        room: event.room.0,
        sender: event.sender.0,
        position: event.position,
        part: part as i64,
        words: &words,
    };
    search::insert(ctx.store.db(), &indexed)
}

/// What an event is found by.
fn text(event: &StoredEvent) -> Option<(Part, String)> {
    let body = &event.body;
    match body.kind() {
        "m.room.message" => Some((Part::Body, body.content_string("body")?)),
        "m.room.name" => Some((Part::Name, body.content_string("name")?)),
        "m.room.topic" => Some((Part::Topic, topic(body.content())?)),
        _ => None,
    }
}

/// Both forms of a topic.
fn topic(content: &str) -> Option<String> {
    let content: Value = serde_json::from_str(content).ok()?;
    let mut texts: Vec<&str> = content["topic"].as_str().into_iter().collect();
    let forms = content["m.topic"]["m.text"].as_array().into_iter().flatten();
    let plain = forms.filter(|form| form["mimetype"].as_str().is_none_or(|kind| kind == "text/plain"));
    for form in plain.filter_map(|form| form["body"].as_str()) {
        if !texts.contains(&form) {
            texts.push(form);
        }
    }
    (!texts.is_empty()).then(|| texts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::topic;

    #[test]
    fn a_topic_is_found_by_each_of_its_forms() {
        let table = [
            (r#"{"topic":"a"}"#, Some("a")),
            (
                r#"{"topic":"a","m.topic":{"m.text":[{"body":"a"},{"body":"<b>","mimetype":"text/html"}]}}"#,
                Some("a"),
            ),
            (
                r#"{"topic":"a","m.topic":{"m.text":[{"body":"b","mimetype":"text/plain"}]}}"#,
                Some("a b"),
            ),
            (r#"{"topic":1}"#, None),
            (r#"{"m.topic":"c"}"#, None),
        ];
        for (content, expected) in table {
            assert_eq!(topic(content).as_deref(), expected, "{content}");
        }
    }
}

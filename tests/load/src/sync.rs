//! `/sync` as the scenarios need it: a token, and per room the ids of the messages in its timeline.

use std::{borrow::Cow, collections::HashMap};

use serde::Deserialize;
use serde_json::json;

use crate::{
    http::{Connection, LoadError, encode, parse},
    world::User,
};

/// The fields we read of a sync answer; serde skips the rest without building it.
#[derive(Debug, Deserialize)]
pub(crate) struct SyncAnswer<'a> {
    #[serde(borrow)]
    pub(crate) next_batch: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) rooms: Rooms<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Rooms<'a> {
    #[serde(borrow, default)]
    pub(crate) join: HashMap<Cow<'a, str>, JoinedRoom<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct JoinedRoom<'a> {
    #[serde(borrow, default)]
    pub(crate) timeline: Timeline<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Timeline<'a> {
    #[serde(borrow, default)]
    pub(crate) events: Vec<TimelineEvent<'a>>,
    #[serde(default)]
    pub(crate) limited: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TimelineEvent<'a> {
    #[serde(borrow)]
    pub(crate) event_id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
}

impl TimelineEvent<'_> {
    pub(crate) fn is_message(&self) -> bool {
        self.kind == "m.room.message"
    }
}

impl<'a> SyncAnswer<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, LoadError> {
        parse(body)
    }

    /// The timeline of one joined room, if it is in this answer.
    pub(crate) fn timeline(&self, room: &str) -> Option<&Timeline<'a>> {
        self.rooms.join.get(room).map(|joined| &joined.timeline)
    }
}

/// Stores a filter as real clients do: members lazily, presence not at all, `limit` timeline events a room.
pub(crate) async fn upload_filter(
    connection: &mut Connection,
    user: &User,
    limit: usize,
    room: Option<&str>,
) -> Result<String, LoadError> {
    #[derive(Deserialize)]
    struct Stored {
        filter_id: String,
    }
    let mut filter = json!({
        "presence": { "not_types": ["*"] },
        "room": { "timeline": { "limit": limit }, "state": { "lazy_load_members": true } },
    });
    if let Some(room) = room {
        filter["room"]["rooms"] = json!([room]);
    }
    let path = format!("/_matrix/client/v3/user/{}/filter", encode(&user.id));
    let answer = connection.post(&user.head, &path, filter.to_string()).await?;
    let Stored { filter_id } = parse(&answer)?;
    Ok(filter_id)
}

/// The path of a sync; without `since` it is an initial one.
pub(crate) fn sync_path(filter: &str, since: Option<&str>, timeout_ms: u64) -> String {
    let filter = encode(filter);
    match since {
        Some(since) => {
            let since = encode(since);
            format!("/_matrix/client/v3/sync?filter={filter}&since={since}&timeout={timeout_ms}")
        }
        None => format!("/_matrix/client/v3/sync?filter={filter}&timeout={timeout_ms}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gives_its_token_and_the_ids_in_a_timeline() {
        let body = br#"{"next_batch":"s1\/2","rooms":{"join":{"!a:b":{"timeline":{"events":[
            {"event_id":"$x","type":"m.room.message","content":{"body":"hi"}}],"limited":true},"state":{}}},"invite":{}}}"#;
        let answer = SyncAnswer::parse(body).expect("a whole answer");
        assert_eq!(answer.next_batch, "s1/2");
        let timeline = answer.timeline("!a:b").expect("the room is in it");
        assert!(timeline.limited && timeline.events[0].is_message());
        assert_eq!(timeline.events[0].event_id, "$x");
        assert!(answer.timeline("!c:d").is_none());
    }

    #[test]
    fn an_answer_without_rooms_is_quiet() {
        let answer = SyncAnswer::parse(br#"{"next_batch":"s"}"#).expect("a whole answer");
        assert!(answer.rooms.join.is_empty());
    }
}

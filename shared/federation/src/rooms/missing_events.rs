//! `POST /_matrix/federation/v1/get_missing_events/{roomId}`: what lies between events that are known and events that are new.

use http::Method;
use plexus_core::{event::EventBody, room_version::RoomVersionRules};
use ruma::{OwnedEventId, RoomId, ServerName};
use serde::{Deserialize, Serialize};

use super::{FetchError, Pdu, malformed, read};
use crate::{
    Federation,
    request::{Outgoing, encode},
};

/// Most events that are asked for, and taken.
pub const MISSING_EVENTS_MAX: usize = 100;

/// Which events are missing.
#[derive(Clone, Debug, Serialize)]
pub struct MissingEvents {
    /// Those that are known: what came before them is not wanted.
    #[serde(rename = "earliest_events")]
    pub known: Vec<OwnedEventId>,
    /// Those that are new: what came before them is wanted.
    #[serde(rename = "latest_events")]
    pub new: Vec<OwnedEventId>,
    /// Most events that are wanted.
    pub limit: usize,
    /// Those of lesser depth are not wanted.
    pub min_depth: i64,
}

#[derive(Debug, Deserialize)]
struct Body {
    events: Vec<Pdu>,
}

impl Federation {
    /// The events between the known ones and the new ones, without either, in the order of the answer.
    pub async fn fetch_missing_events(
        &self,
        server: &ServerName,
        rules: &'static RoomVersionRules,
        room_id: &RoomId,
        missing: &MissingEvents,
    ) -> Result<Vec<EventBody>, FetchError> {
        let content = serde_json::to_vec(missing).map_err(|error| malformed(server, error.to_string()))?;
        let target = format!("/_matrix/federation/v1/get_missing_events/{}", encode(room_id.as_str()));
        let request = Outgoing::with_body(server, Method::POST, target, content);
        let Body { mut events } = read(server, &self.send(request).await?)?;
        events.truncate(MISSING_EVENTS_MAX);
        self.believe(server, rules, room_id, events).await
    }
}

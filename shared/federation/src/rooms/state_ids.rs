//! `GET /_matrix/federation/v1/state_ids/{roomId}`: the state before an event, as ids.

use ruma::{EventId, OwnedEventId, RoomId, ServerName};
use serde::Deserialize;

use super::{FetchError, malformed, read};
use crate::{
    Federation,
    request::{Outgoing, encode},
};

/// Most bytes of an answer: the ids of about a million events.
const ANSWER_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Most events of a state that is taken.
pub const STATE_EVENTS_MAX: usize = 500_000;

/// The state before an event.
#[derive(Clone, Debug, Deserialize)]
pub struct StateIds {
    /// Its events.
    #[serde(rename = "pdu_ids")]
    pub state: Vec<OwnedEventId>,
    /// The events that allow them.
    #[serde(rename = "auth_chain_ids")]
    pub auth_chain: Vec<OwnedEventId>,
}

impl Federation {
    /// The state before an event, as the server has it.
    pub async fn fetch_state_ids(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<StateIds, FetchError> {
        let (room, event) = (encode(room_id.as_str()), encode(event_id.as_str()));
        let mut request = Outgoing::get(
            server,
            format!("/_matrix/federation/v1/state_ids/{room}?event_id={event}"),
        );
        request.limits.answer_bytes_max = ANSWER_BYTES_MAX;
        let ids: StateIds = read(server, &self.send(request).await?)?;
        if ids.state.len() > STATE_EVENTS_MAX || ids.auth_chain.len() > STATE_EVENTS_MAX {
            return Err(malformed(server, "more state than any room has"));
        }
        Ok(ids)
    }
}

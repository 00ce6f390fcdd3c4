//! `GET /_matrix/federation/v1/event_auth/{roomId}/{eventId}`: the events that allow an event, and those that allow them.

use plexus_core::{event::EventBody, room_version::RoomVersionRules};
use ruma::{EventId, RoomId, ServerName};
use serde::Deserialize;

use super::{FetchError, Pdu, read};
use crate::{
    Federation,
    request::{Outgoing, encode},
};

/// Most bytes of an answer: rooms with many years of power levels have chains of thousands of events.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most events of an answer that are taken.
const CHAIN_EVENTS_MAX: usize = 20_000;

#[derive(Debug, Deserialize)]
struct Body {
    auth_chain: Vec<Pdu>,
}

impl Federation {
    /// The auth chain of an event, without it.
    pub async fn fetch_event_auth(
        &self,
        server: &ServerName,
        rules: &'static RoomVersionRules,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<Vec<EventBody>, FetchError> {
        let (room, event) = (encode(room_id.as_str()), encode(event_id.as_str()));
        let mut request = Outgoing::get(server, format!("/_matrix/federation/v1/event_auth/{room}/{event}"));
        request.limits.answer_bytes_max = ANSWER_BYTES_MAX;
        let Body { mut auth_chain } = read(server, &self.send(request).await?)?;
        auth_chain.truncate(CHAIN_EVENTS_MAX);
        self.believe(server, rules, room_id, auth_chain).await
    }
}

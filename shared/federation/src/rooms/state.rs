//! `GET /_matrix/federation/v1/state/{roomId}`: the state before an event, whole.

use std::time::Duration;

use plexus_core::{event::EventBody, room_version::RoomVersionRules};
use ruma::{EventId, RoomId, ServerName};
use serde::Deserialize;

use super::{FetchError, Pdu, read};
use crate::{
    Federation,
    request::{Outgoing, encode},
};

/// Most bytes of an answer: the state of a room of about 100,000 members.
const ANSWER_BYTES_MAX: usize = 192 * 1024 * 1024;
/// How long it may take: the other server reads all of it from its database.
const TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Debug, Deserialize)]
struct Body {
    pdus: Vec<Pdu>,
    auth_chain: Vec<Pdu>,
}

/// The state before an event.
#[derive(Clone, Debug)]
pub struct RoomState {
    /// Its events.
    pub state: Vec<EventBody>,
    /// The events that allow them.
    pub auth_chain: Vec<EventBody>,
}

impl Federation {
    /// The state before an event, as the server has it; for one of which most is not known here.
    pub async fn fetch_state(
        &self,
        server: &ServerName,
        rules: &'static RoomVersionRules,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<RoomState, FetchError> {
        let (room, event) = (encode(room_id.as_str()), encode(event_id.as_str()));
        let mut request = Outgoing::get(server, format!("/_matrix/federation/v1/state/{room}?event_id={event}"));
        request.limits.answer_bytes_max = ANSWER_BYTES_MAX;
        request.limits.timeout = TIMEOUT;
        let Body { pdus, auth_chain } = read(server, &self.send(request).await?)?;
        Ok(RoomState {
            state: self.believe(server, rules, room_id, pdus).await?,
            auth_chain: self.believe(server, rules, room_id, auth_chain).await?,
        })
    }
}

//! `GET /_matrix/federation/v1/event/{eventId}`: one event.

use plexus_core::{event::EventBody, room_version::RoomVersionRules};
use ruma::{EventId, RoomId, ServerName};

use super::{FetchError, Transaction, malformed, read};
use crate::{
    Federation,
    request::{Outgoing, encode},
};

/// Most bytes of an answer: one event with what its server adds to it.
const ANSWER_BYTES_MAX: usize = 512 * 1024;

impl Federation {
    /// One event of a room.
    pub async fn fetch_event(
        &self,
        server: &ServerName,
        rules: &'static RoomVersionRules,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<EventBody, FetchError> {
        let target = format!("/_matrix/federation/v1/event/{}", encode(event_id.as_str()));
        let mut request = Outgoing::get(server, target);
        request.limits.timeout = super::ONE_TIMEOUT;
        request.limits.answer_bytes_max = ANSWER_BYTES_MAX;
        let answer = self.send(request).await?;
        let Transaction { mut pdus } = read(server, &answer)?;
        pdus.truncate(1);
        let events = self.believe(server, rules, room_id, pdus).await?;
        let event = events.into_iter().find(|event| event.event_id() == event_id);
        event.ok_or_else(|| malformed(server, "another event than was asked for"))
    }
}

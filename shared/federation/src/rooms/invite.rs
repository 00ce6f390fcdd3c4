//! `PUT /_matrix/federation/v2/invite/{roomId}/{eventId}`: another server's user into a room, and `PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId}`:
//! a user of this server who was invited by his address.

use http::Method;
use plexus_core::{
    event::EventBody,
    room_version::{EventIdFormat, RoomVersionRules},
};
use ruma::{RoomId, ServerName};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{FetchError, Pdu, is_unknown_path, malformed, read};
use crate::{
    Federation,
    request::{BackOff, Outgoing, encode},
};

/// Most bytes of an answer: one event.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug, Deserialize)]
struct Body {
    event: Pdu,
}

impl Federation {
    /// Has the server of the invited user sign an invite. `state` says what room it is: events of it, as they are in the room.
    pub async fn invite(
        &self,
        server: &ServerName,
        rules: &'static RoomVersionRules,
        invite: &EventBody,
        state: &[&str],
    ) -> Result<EventBody, FetchError> {
        let (room, event) = (encode(invite.room_id().as_str()), encode(invite.event_id().as_str()));
        let put = async |version: &str, content: String| {
            let target = format!("/_matrix/federation/{version}/invite/{room}/{event}");
            let mut request = Outgoing::with_body(server, Method::PUT, target, content);
            request.limits.answer_bytes_max = ANSWER_BYTES_MAX;
            self.send(request).await
        };
        let content = format!(
            "{{\"event\":{},\"invite_room_state\":[{}],\"room_version\":\"{}\"}}",
            invite.json(),
            state.join(","),
            rules.version
        );
        let Body { event } = match put("v2", content).await {
            // Servers of that time know these versions only.
            Err(error) if is_unknown_path(&error) && rules.event_id == EventIdFormat::Assigned => {
                let content = with_room_state(invite.json(), state).map_err(|error| malformed(server, error))?;
                let (_, body): (u16, Body) = read(server, &put("v1", content).await?)?;
                body
            }
            answer => read(server, &answer?)?,
        };
        let signed = self.believe(server, rules, invite.room_id(), vec![event]).await?.pop();
        signed.ok_or_else(|| malformed(server, "an invite that is not believed"))
    }

    /// Tells the server of who invited an address that a user of this server has it. Anybody can make this server believe so.
    pub async fn exchange_third_party_invite(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        event: &Value,
    ) -> Result<(), FetchError> {
        let room = encode(room_id.as_str());
        let target = format!("/_matrix/federation/v1/exchange_third_party_invite/{room}");
        let mut request = Outgoing::with_body(server, Method::PUT, target, event.to_string());
        request.back_off = BackOff::Heed;
        self.send(request).await?;
        Ok(())
    }
}

/// The invite as the first version of the endpoint has it.
fn with_room_state(invite: &str, state: &[&str]) -> Result<String, String> {
    let parse = |text: &str| serde_json::from_str::<Box<RawValue>>(text).map_err(|error| error.to_string());
    let mut event: serde_json::Map<String, Value> = serde_json::from_str(invite).map_err(|error| error.to_string())?;
    let state = state.iter().map(|event| parse(event)).collect::<Result<Vec<_>, _>>()?;
    event.insert("unsigned".to_owned(), json!({"invite_room_state": state}));
    serde_json::to_string(&event).map_err(|error| error.to_string())
}

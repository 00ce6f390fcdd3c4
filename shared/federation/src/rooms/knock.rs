//! `PUT /_matrix/federation/v1/send_knock/{roomId}/{eventId}`: before the door of a room of other servers.

use http::Method;
use plexus_core::event::EventBody;
use ruma::ServerName;
use serde::Deserialize;
use serde_json::Value;

use super::{FetchError, read};
use crate::{
    Federation,
    request::{Outgoing, encode},
};

/// Most bytes of an answer: some state that says what room it is.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    knock_room_state: Vec<Value>,
}

impl Federation {
    /// Sends a knock. What comes back says what room it is; nobody has signed it.
    pub async fn send_knock(&self, server: &ServerName, knock: &EventBody) -> Result<Vec<Value>, FetchError> {
        let (room, event) = (encode(knock.room_id().as_str()), encode(knock.event_id().as_str()));
        let target = format!("/_matrix/federation/v1/send_knock/{room}/{event}");
        let mut request = Outgoing::with_body(server, Method::PUT, target, knock.json().to_owned());
        request.limits.answer_bytes_max = ANSWER_BYTES_MAX;
        let Body { knock_room_state } = read(server, &self.send(request).await?)?;
        Ok(knock_room_state)
    }
}

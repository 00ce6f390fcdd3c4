//! `GET /_matrix/federation/v1/hierarchy/{roomId}`: a room as it shows itself, and the rooms of a space.

use std::time::Duration;

use ruma::{RoomId, ServerName};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Federation,
    request::{BackOff, Outgoing, encode},
    rooms::{FetchError, read},
};

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long it may take: somebody waits, and there may be more to ask.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A room as a server shows it, and the rooms of a space.
#[derive(Clone, Debug, Deserialize)]
pub struct Hierarchy {
    /// The room.
    pub room: Value,
    /// The rooms in it that one could come into.
    #[serde(default)]
    pub children: Vec<Value>,
}

impl Federation {
    /// A room and the rooms in it, by a server.
    pub async fn fetch_hierarchy(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        suggested_only: bool,
    ) -> Result<Hierarchy, FetchError> {
        let room = encode(room_id.as_str());
        let target = format!("/_matrix/federation/v1/hierarchy/{room}?suggested_only={suggested_only}");
        let mut request = Outgoing::get(server, target);
        request.limits.timeout = TIMEOUT;
        request.limits.answer_bytes_max = ANSWER_BYTES_MAX;
        request.back_off = BackOff::Respect;
        read(server, &self.send(request).await?)
    }
}

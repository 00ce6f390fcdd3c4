//! `GET /_matrix/federation/v1/timestamp_to_event/{roomId}`: the event closest to a time.

use std::time::Duration;

use ruma::{OwnedEventId, RoomId, ServerName};
use serde::Deserialize;

use crate::{
    Federation,
    request::{BackOff, Outgoing, encode},
    rooms::{FetchError, read},
};

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long it may take: another server can be asked instead.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The event closest to a time.
#[derive(Clone, Debug, Deserialize)]
pub struct ClosestEvent {
    /// Its id.
    pub event_id: OwnedEventId,
    /// Its time, in milliseconds since 1970.
    pub origin_server_ts: u64,
}

impl Federation {
    /// The event closest to a time, after it (`is_after`) or before it, by a server.
    pub async fn fetch_closest_event(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        ts_ms: u64,
        is_after: bool,
    ) -> Result<ClosestEvent, FetchError> {
        let (room, direction) = (encode(room_id.as_str()), if is_after { "f" } else { "b" });
        let target = format!("/_matrix/federation/v1/timestamp_to_event/{room}?ts={ts_ms}&dir={direction}");
        let mut request = Outgoing::get(server, target);
        request.limits.timeout = TIMEOUT;
        request.limits.answer_bytes_max = ANSWER_BYTES_MAX;
        request.back_off = BackOff::Respect;
        read(server, &self.send(request).await?)
    }
}

//! `PUT /_matrix/federation/v2/send_leave/{roomId}/{eventId}`: out of a room that this server is not in, or away from its door.

use http::Method;
use plexus_core::event::EventBody;
use ruma::ServerName;

use super::{FetchError, is_unknown_path};
use crate::{
    Federation,
    request::{Outgoing, encode},
};

impl Federation {
    /// Sends a leave.
    pub async fn send_leave(&self, server: &ServerName, leave: &EventBody) -> Result<(), FetchError> {
        let (room, event) = (encode(leave.room_id().as_str()), encode(leave.event_id().as_str()));
        let put = async |version: &str| {
            let target = format!("/_matrix/federation/{version}/send_leave/{room}/{event}");
            let request = Outgoing::with_body(server, Method::PUT, target, leave.json().to_owned());
            self.send(request).await
        };
        match put("v2").await {
            Err(error) if is_unknown_path(&error) => put("v1").await?,
            answer => answer?,
        };
        Ok(())
    }
}

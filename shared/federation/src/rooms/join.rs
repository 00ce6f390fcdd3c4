//! `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}`: into a room of other servers.

use std::time::Duration;

use http::Method;
use plexus_core::{event::EventBody, room_version::RoomVersionRules};
use ruma::{OwnedEventId, OwnedServerName, ServerName};
use serde::Deserialize;

use super::{FetchError, Pdu, is_unknown_path, read};
use crate::{
    Federation,
    request::{Outgoing, encode},
};

/// Most bytes of an answer: the state of a room of about 100,000 members.
const ANSWER_BYTES_MAX: usize = 192 * 1024 * 1024;
/// How long it may take: the other server reads all of the state from its database.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Most servers of a room that are taken from an answer.
const SERVERS_MAX: usize = 100_000;

/// What a server answers whom it has let in.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The state before the join: of each event its id, in the order of the answer, as far as they are in `events`.
    pub state: Vec<OwnedEventId>,
    /// The events of the state and those that allow them, each once. They are believed, and of the room.
    pub events: Vec<EventBody>,
    /// The join with the other server's signature, as far as it is believed.
    pub event: Option<EventBody>,
    /// Whether most members are missing in the state.
    pub members_omitted: bool,
    /// The servers in the room, if the members are missing.
    pub servers: Vec<OwnedServerName>,
}

#[derive(Debug, Deserialize)]
struct Body {
    state: Vec<Pdu>,
    auth_chain: Vec<Pdu>,
    event: Option<Pdu>,
    #[serde(default)]
    members_omitted: bool,
    #[serde(default)]
    servers_in_room: Vec<String>,
}

impl Federation {
    /// Sends a join. `omit_members` says that a state without most members will do.
    pub async fn send_join(
        &self,
        server: &ServerName,
        rules: &'static RoomVersionRules,
        join: &EventBody,
        omit_members: bool,
    ) -> Result<Joined, FetchError> {
        let (room, event) = (encode(join.room_id().as_str()), encode(join.event_id().as_str()));
        let put = async |version: &str, query: &str| {
            let target = format!("/_matrix/federation/{version}/send_join/{room}/{event}{query}");
            let mut request = Outgoing::with_body(server, Method::PUT, target, join.json().to_owned());
            request.limits.answer_bytes_max = ANSWER_BYTES_MAX;
            request.limits.timeout = TIMEOUT;
            self.send(request).await
        };
        let query = if omit_members { "?omit_members=true" } else { "" };
        let body: Body = match put("v2", query).await {
            Err(error) if is_unknown_path(&error) => {
                let (_, body): (u16, Body) = read(server, &put("v1", "").await?)?;
                body
            }
            answer => read(server, &answer?)?,
        };
        self.read_joined(server, rules, join, body).await
    }

    async fn read_joined(
        &self,
        server: &ServerName,
        rules: &'static RoomVersionRules,
        join: &EventBody,
        body: Body,
    ) -> Result<Joined, FetchError> {
        let room_id = join.room_id();
        let mut events = self.believe(server, rules, room_id, body.state).await?;
        let state: Vec<OwnedEventId> = events.iter().map(|event| event.event_id().to_owned()).collect();
        let mut known: std::collections::HashSet<OwnedEventId> = state.iter().cloned().collect();
        let chain = self.believe(server, rules, room_id, body.auth_chain).await?;
        events.extend(
            chain
                .into_iter()
                .filter(|event| known.insert(event.event_id().to_owned())),
        );
        let event = match body.event {
            Some(event) => self.believe(server, rules, room_id, vec![event]).await?.pop(),
            None => None,
        };
        let servers = body.servers_in_room.into_iter().take(SERVERS_MAX);
        Ok(Joined {
            state,
            events,
            event,
            members_omitted: body.members_omitted,
            servers: servers.filter_map(|name| name.try_into().ok()).collect(),
        })
    }
}

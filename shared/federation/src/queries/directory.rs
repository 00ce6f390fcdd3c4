//! `GET /_matrix/federation/v1/query/directory`: what an alias leads to.

use ruma::{OwnedRoomId, OwnedServerName, RoomAliasId};
use serde::Deserialize;

use crate::{
    Federation,
    request::{Outgoing, encode},
    rooms::{FetchError, read},
};

/// Most bytes of an answer: the servers of a large room.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Most servers that are taken from it.
const SERVERS_MAX: usize = 100;

/// What an alias leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomOfAlias {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Servers that are in it.
    pub servers: Vec<OwnedServerName>,
}

#[derive(Debug, Deserialize)]
struct Body {
    room_id: OwnedRoomId,
    #[serde(default)]
    servers: Vec<String>,
}

impl Federation {
    /// The room that an alias of another server leads to, by that server. What is no server's name is passed over.
    pub async fn fetch_room_of_alias(&self, alias: &RoomAliasId) -> Result<RoomOfAlias, FetchError> {
        let server = alias.server_name();
        let target = format!(
            "/_matrix/federation/v1/query/directory?room_alias={}",
            encode(alias.as_str())
        );
        let mut request = Outgoing::get(server, target);
        request.limits.answer_bytes_max = ANSWER_BYTES_MAX;
        let body: Body = read(server, &self.send(request).await?)?;
        let servers = body.servers.into_iter().take(SERVERS_MAX);
        Ok(RoomOfAlias {
            room_id: body.room_id,
            servers: servers.filter_map(|name| name.try_into().ok()).collect(),
        })
    }
}

//! `GET /_matrix/federation/v1/make_{join,leave,knock}/{roomId}/{userId}`: what a member event that another server takes part in has to refer to.

use plexus_core::room_version::RoomVersion;
use ruma::{RoomId, ServerName, UserId};
use serde::Deserialize;
use serde_json::Value;

use super::{FetchError, malformed, parameters, read};
use crate::{
    Federation,
    request::{Outgoing, encode},
};

/// Most bytes of an answer: one event.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// The version of a room whose server does not say.
const OLD_VERSION: &str = "1";

/// What a user of this server wants to be to a room of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// In it.
    Join,
    /// Out of it.
    Leave,
    /// Before its door.
    Knock,
}

impl Step {
    /// As it is in paths and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Knock => "knock",
        }
    }
}

/// What the other server proposes. Nothing of it has been checked.
#[derive(Clone, Debug)]
pub struct Template {
    /// The room's version, if it is one that is known here.
    pub version: Option<RoomVersion>,
    /// The event, unsigned.
    pub event: Value,
}

#[derive(Debug, Deserialize)]
struct Body {
    room_version: Option<String>,
    event: Value,
}

impl Federation {
    /// The event that would make a user something to a room.
    pub async fn make_member_event(
        &self,
        server: &ServerName,
        step: Step,
        room_id: &RoomId,
        user_id: &UserId,
    ) -> Result<Template, FetchError> {
        let (room, user) = (encode(room_id.as_str()), encode(user_id.as_str()));
        let mut target = format!("/_matrix/federation/v1/make_{}/{room}/{user}", step.as_str());
        if step != Step::Leave {
            let versions = RoomVersion::ALL.iter().map(|version| version.as_str());
            target = format!("{target}?{}", parameters("ver", versions));
        }
        let mut request = Outgoing::get(server, target);
        request.limits.answer_bytes_max = ANSWER_BYTES_MAX;
        let Body { room_version, event } = read(server, &self.send(request).await?)?;
        if !event.is_object() {
            return Err(malformed(server, "a template that is no event"));
        }
        let version = room_version.as_deref().unwrap_or(OLD_VERSION).parse().ok();
        Ok(Template { version, event })
    }
}

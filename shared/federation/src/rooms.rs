//! What other servers are asked about rooms: events, states, history. Events come back verified, by [`Federation::verify`], and of the room asked for.
//!
//! One file for each endpoint. What is not believed in an answer of many events is left out: the rest is as good as it was.

mod backfill;
mod event;
mod event_auth;
mod invite;
mod join;
mod knock;
mod leave;
mod missing_events;
mod state;
mod state_ids;
mod template;

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use metrics::counter;
use plexus_core::{event::EventBody, room_version::RoomVersionRules};
use ruma::{OwnedServerName, RoomId, ServerName};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

pub use self::{
    backfill::BACKFILL_MAX,
    join::Joined,
    missing_events::{MISSING_EVENTS_MAX, MissingEvents},
    state::RoomState,
    state_ids::{STATE_EVENTS_MAX, StateIds},
    template::{Step, Template},
};
use crate::{
    Federation,
    events::VerifyError,
    metrics::UNBELIEVED_TOTAL,
    outbound::Answer,
    request::{RequestError, encode},
};

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Nothing can be said of the events of the answer.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The answer is not what was asked for.
    #[error("{server} answers with {what}")]
    Malformed {
        /// Who answered.
        server: OwnedServerName,
        /// With what.
        what: String,
    },
}

/// How long a request for one event may take: another server can be asked instead.
const ONE_TIMEOUT: Duration = Duration::from_secs(10);

/// An event as it came.
type Pdu = Box<RawValue>;

/// Events in the envelope of a transaction.
#[derive(Debug, Deserialize)]
struct Transaction {
    pdus: Vec<Pdu>,
}

/// Reads an answer.
pub(crate) fn read<T: DeserializeOwned>(server: &ServerName, answer: &Answer) -> Result<T, FetchError> {
    serde_json::from_slice(&answer.body).map_err(|error| malformed(server, format!("no answer: {error}")))
}

pub(crate) fn malformed(server: &ServerName, what: impl Into<String>) -> FetchError {
    FetchError::Malformed {
        server: server.to_owned(),
        what: what.into(),
    }
}

/// Whether a server does not have the endpoint it was asked at.
fn is_unknown_path(error: &RequestError) -> bool {
    let RequestError::Refused { status, errcode, .. } = error else {
        return false;
    };
    matches!(status.as_u16(), 400 | 404 | 405) && (errcode == "M_UNRECOGNIZED" || errcode.is_empty())
}

/// A query parameter for each value.
fn parameters<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> String {
    let pairs = values.map(|value| format!("{name}={}", encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

impl Federation {
    /// The events of an answer that are believed and of the room, in the order of the answer and each once.
    async fn believe(
        &self,
        server: &ServerName,
        rules: &'static RoomVersionRules,
        room_id: &RoomId,
        pdus: Vec<Pdu>,
    ) -> Result<Vec<EventBody>, FetchError> {
        let raw: Vec<Bytes> = pdus
            .into_iter()
            .map(|pdu| String::from(Box::<str>::from(pdu)).into())
            .collect();
        let mut believed: Vec<EventBody> = Vec::with_capacity(raw.len());
        let mut seen = HashSet::with_capacity(raw.len());
        for outcome in self.verify(rules, raw).await? {
            match outcome {
                Ok(event) if event.room_id() == room_id => {
                    if seen.insert(event.event_id().to_owned()) {
                        believed.push(event);
                    }
                }
                Ok(event) => {
                    counter!(UNBELIEVED_TOTAL).increment(1);
                    tracing::debug!(server.name = %server, event.id = %event.event_id(), "an event of another room");
                }
                Err(error) => {
                    counter!(UNBELIEVED_TOTAL).increment(1);
                    tracing::debug!(server.name = %server, event.id = ?error.event_id, %error, "an event is not believed");
                }
            }
        }
        Ok(believed)
    }
}

#[cfg(test)]
mod tests;

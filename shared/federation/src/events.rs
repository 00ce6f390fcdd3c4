//! Events of other servers: the one door through which they come in, whichever way they were sent.
//!
//! Behind it are the first three checks of <https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>; the master makes the
//! others.

use plexus_core::{
    event::{EventBody, EventError, ParsedEvent},
    room_version::RoomVersionRules,
};
use plexus_storage::StoreError;
use ruma::OwnedEventId;
use tokio::task::spawn_blocking;

use crate::{Federation, flights::run_elsewhere, keys::Known};

/// Events whose signatures are checked in one go, each at about a tenth of a millisecond.
const CHECKED_AT_ONCE: usize = 256;

/// An event that is not believed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Unbelieved {
    /// Its id, if it has got as far as having one.
    pub event_id: Option<OwnedEventId>,
    /// What is wrong with it.
    pub error: EventError,
}

/// What came out of it for one event.
pub type Verified = Result<EventBody, Unbelieved>;

/// Why nothing can be said of any of them.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Keys cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The process stops.
    #[error("the process is stopping")]
    Stopping,
}

impl Federation {
    /// Checks format, limits, hashes and signatures of events of one room version; keys that are missing are fetched. The outcomes are in the order of
    /// the events.
    pub async fn verify(
        &self,
        rules: &'static RoomVersionRules,
        events: Vec<impl AsRef<[u8]> + Send + 'static>,
    ) -> Result<Vec<Verified>, VerifyError> {
        let mut outcomes = Vec::with_capacity(events.len());
        let mut events = events.into_iter();
        loop {
            let chunk: Vec<_> = events.by_ref().take(CHECKED_AT_ONCE).collect();
            if chunk.is_empty() {
                return Ok(outcomes);
            }
            let parse = move || chunk.into_iter().map(|json| parse(json.as_ref(), rules)).collect();
            let parsed: Vec<Result<ParsedEvent, Unbelieved>> = self.compute(parse).await?;
            let keys = self.keys().for_events(parsed.iter().flatten()).await?;
            let verify = move || {
                parsed
                    .into_iter()
                    .map(|event| verify(event?, &keys))
                    .collect::<Vec<_>>()
            };
            outcomes.extend(self.compute(verify).await?);
        }
    }

    /// Runs what keeps a processor busy where it holds up nobody.
    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, VerifyError> {
        let done = run_elsewhere(self.spawn(), async { spawn_blocking(work).await.ok() }).await;
        done.flatten().ok_or(VerifyError::Stopping)
    }
}

fn parse(json: &[u8], rules: &'static RoomVersionRules) -> Result<ParsedEvent, Unbelieved> {
    EventBody::parse(json, rules).map_err(|error| Unbelieved { event_id: None, error })
}

fn verify(event: ParsedEvent, keys: &Known) -> Verified {
    let event_id = event.event_id().to_owned();
    event
        .verify(&|server, key_id| keys.get(server, key_id))
        .map_err(|error| Unbelieved {
            event_id: Some(event_id),
            error,
        })
}

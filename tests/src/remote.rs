//! A room of other servers, which a worker tells the master of.

use plexus_proto::{EventOutcome, ReceiveEvents, ReceivedEvent, command::Kind, event_outcome::Outcome};
use plexus_testkit::dag::{Dag, Index};

use crate::worker::Worker;

/// A room of other servers.
#[derive(Debug)]
pub struct Remote {
    /// Its events, told or not.
    pub dag: Dag,
    worker: Worker,
}

impl Remote {
    /// A room of which nothing has been told.
    pub fn new(dag: Dag, worker: Worker) -> Self {
        Self { dag, worker }
    }

    /// The room's id.
    pub fn room(&self) -> String {
        self.dag.room_id().to_string()
    }

    /// The id of an event.
    pub fn id(&self, at: Index) -> String {
        self.dag.events[at].body.event_id().to_string()
    }

    /// Brings events in one Command.
    pub async fn tell(&self, events: &[Index]) -> Vec<EventOutcome> {
        let events = events.iter().map(|at| ReceivedEvent {
            json: self.dag.events[*at].body.json().to_owned().into(),
            ..ReceivedEvent::default()
        });
        let receive = ReceiveEvents {
            room_id: self.room(),
            room_version: self.dag.rules.version.as_str().parse().expect("versions are numbers"),
            events: events.collect(),
            before: None,
        };
        self.worker.run(Kind::ReceiveEvents(receive)).await.outcomes
    }

    /// The same; this must become of all of them.
    pub async fn tell_as(&self, events: &[Index], wanted: Outcome) {
        for (at, outcome) in events.iter().zip(self.tell(events).await) {
            assert_eq!(outcome.outcome(), wanted, "event {at}: {outcome:?}");
        }
    }
}

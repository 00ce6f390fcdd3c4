//! The order in which events are brought.

use plexus_core::room_version::RoomVersion;
use plexus_testkit::dag::{CREATOR, Dag, Dice};

use super::*;

/// Any order of the same events comes out so that each is behind those it refers to.
#[test]
fn events_come_behind_those_they_refer_to() {
    let mut dag = Dag::random(7);
    dag.grow(60);
    let mut dice = Dice::new(3);
    for _ in 0..20 {
        let mut events: Vec<EventBody> = dag.events.iter().map(|event| EventBody::clone(&event.body)).collect();
        for at in (1..events.len()).rev() {
            events.swap(at, dice.below(at + 1));
        }
        let ordered = in_order(events);
        assert_eq!(ordered.len(), dag.events.len());
        let mut seen = HashSet::new();
        for event in &ordered {
            for id in event.auth_events().iter().chain(event.prev_events()) {
                assert!(seen.contains(id), "{id} is behind {}", event.event_id());
            }
            seen.insert(event.event_id().to_owned());
        }
    }
}

/// What has no reason to be moved is not: branches that are known stay in the order of the transaction.
#[test]
fn what_is_in_order_stays_as_it_is() {
    let mut dag = Dag::new(RoomVersion::V11, 1);
    let base = dag.last();
    for count in 0..5 {
        dag.add(
            &[base],
            &plexus_testkit::dag::Attempt::message(CREATOR, &format!("branch {count}")),
        );
    }
    let events: Vec<EventBody> = dag.events.iter().map(|event| EventBody::clone(&event.body)).collect();
    assert_eq!(in_order(events.clone()), events);
}

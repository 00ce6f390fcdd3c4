//! History that is fetched after the events that follow it: it gets its places below them, and nobody is told of it.

use plexus_core::{
    position::WriterId,
    room_version::RoomVersion,
    row::{EventStatus, Row},
};
use plexus_proto::{GivenState, ReceivedEvent, event_outcome::Outcome};
use plexus_storage::room_gaps::{REGION_PLACES, begins_after_gap};
use plexus_testkit::{
    dag::{Attempt, CREATOR, Dag, Index},
    databases,
};

use super::{
    Server,
    graph::{Visitor, newest_with_creator, received},
};

/// Events of one batch.
const BATCH: usize = 7;

/// The event with the state before it, as another server tells it.
fn with_state(visitor: &Visitor<'_>, at: Index) -> ReceivedEvent {
    let state = visitor.expected(visitor.dag.events[at].before);
    ReceivedEvent {
        state_before: Some(GivenState {
            event_ids: state.into_values().collect(),
            ..GivenState::default()
        }),
        ..received(&visitor.dag, at)
    }
}

/// The room as it is for a server that has just joined it: a state, and one event after it.
async fn join(visitor: &mut Visitor<'_>) -> Index {
    let last = visitor.dag.last();
    let outliers = (0..=last).filter(|at| visitor.dag.events[*at].body.state_key().is_some());
    let outliers = outliers.map(|at| ReceivedEvent {
        outlier: true,
        ..received(&visitor.dag, at)
    });
    let outliers: Vec<_> = outliers.collect();
    visitor.tell_events(outliers).await;
    let tips = [newest_with_creator(&visitor.dag)];
    let joined = visitor.dag.add(&tips, &Attempt::message(CREATOR, "here"));
    let told = vec![with_state(visitor, joined)];
    let outcomes = visitor.tell_events(told).await;
    assert_eq!(outcomes[0].outcome(), Outcome::Accepted, "{outcomes:?}");
    joined
}

/// The next events before those that are there, each with the state before it where its predecessors are not there.
fn batch(visitor: &Visitor<'_>, first: Index, end: Index) -> Vec<ReceivedEvent> {
    let mut batch = Vec::new();
    for at in first..end {
        let prev = visitor.dag.events[at].body.prev_events();
        let prev: Vec<Index> = prev.iter().filter_map(|id| visitor.dag.find(id)).collect();
        let is_known = prev.iter().all(|prev| (first..end).contains(prev));
        batch.push(if is_known {
            received(&visitor.dag, at)
        } else {
            with_state(visitor, at)
        });
    }
    batch
}

/// Brings everything before an event, the newest of it first.
async fn fill(server: &Server, visitor: &mut Visitor<'_>, joined: Index) {
    let mut end = joined;
    while end > 0 {
        let first = end.saturating_sub(BATCH);
        let store = server.replica.store();
        let gaps = store.room_gaps(visitor.room().await.nid).await.unwrap();
        let gap = gaps.last().expect("history is missing");
        let before = store.event(gap.event).await.unwrap().expect("it is stored");
        let (events, before) = (batch(visitor, first, end), before.body.event_id().to_string());
        let outcomes = visitor.tell_before(Some(before), events).await;
        for (at, outcome) in (first..end).zip(&outcomes) {
            let wanted = if visitor.dag.events[at].is_rejected {
                Outcome::Rejected
            } else {
                Outcome::Accepted
            };
            assert_eq!(outcome.outcome(), wanted, "event {at}: {outcome:?}");
        }
        end = first;
    }
}

/// Everything accepted before an event is below it, in order, and without a place in the log.
async fn check_places(visitor: &Visitor<'_>, joined: Index, begins: i64) {
    let mut lowest = begins;
    for at in (0..joined).rev() {
        let stored = visitor.stored(at).await;
        if stored.status == EventStatus::Accepted {
            let order = stored.room_order.expect("it is listed");
            assert!(order < lowest && order > begins - REGION_PLACES, "event {at}");
            lowest = order;
            assert_eq!(stored.position, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_gets_its_places_below_what_follows_it_and_is_news_to_nobody() {
    for (version, seed) in [RoomVersion::V1, RoomVersion::V6, RoomVersion::V11, RoomVersion::V12]
        .into_iter()
        .zip(70..)
    {
        for database in databases().await {
            let server = Server::start(&database, "one").await;
            let mut dag = Dag::random_of(version, seed);
            dag.grow(40);
            let mut visitor = Visitor::new(&server, dag);
            let joined = join(&mut visitor).await;
            let before = visitor.head().await;
            let begins = visitor.stored(joined).await.room_order.expect("it is accepted");
            assert!(begins_after_gap(begins));
            let news = server.replica.position().get(WriterId::MASTER);

            fill(&server, &mut visitor, joined).await;
            // The head has not moved, everything has the state that the rules give it, and no history is missing.
            let gaps = server
                .replica
                .store()
                .room_gaps(visitor.room().await.nid)
                .await
                .unwrap();
            assert_eq!(gaps, []);
            let after = visitor.head().await;
            assert_eq!(
                (after.extremities, after.room_order),
                (before.extremities, before.room_order)
            );
            visitor.check().await;
            check_places(&visitor, joined, begins).await;
            for frame in server.log().await.iter().filter(|frame| frame.position > news) {
                let told = frame
                    .rows
                    .iter()
                    .any(|row| matches!(row, Row::Event(_) | Row::State(_)));
                assert!(!told, "{frame:?}");
            }
            server.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_is_not_missing_changes_nothing() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let mut dag = Dag::new(RoomVersion::V11, 1);
        let said = dag.add(&[dag.last()], &Attempt::message(CREATOR, "before"));
        let mut visitor = Visitor::new(&server, dag);
        let all: Vec<Index> = (0..said).collect();
        visitor.tell(&all).await;
        let before = visitor.dag.events[0].body.event_id().to_string();
        let told = vec![received(&visitor.dag, said), received(&visitor.dag, 0)];
        let outcomes = visitor.tell_before(Some(before), told).await;
        assert_eq!(outcomes[0].outcome(), Outcome::Invalid);
        assert_eq!((outcomes[1].outcome(), outcomes[1].is_new), (Outcome::Accepted, false));
        // It is news all the same.
        assert_eq!(visitor.tell(&[said]).await[0].outcome(), Outcome::Accepted);
        server.stop().await;
    }
}

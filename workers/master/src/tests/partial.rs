//! Rooms that are joined with a part of their state, which is completed while events come.

use std::collections::HashSet;

use plexus_core::{room_version::RoomVersion, row::EventStatus};
use plexus_proto::{CompleteState, GivenState, ReceivedEvent, command::Kind, event_outcome::Outcome};
use plexus_testkit::{
    dag::{Attempt, CREATOR, Dag, Index},
    databases,
};

use super::{
    Server,
    graph::{Visitor, newest_with_creator, received},
};

fn id(dag: &Dag, at: Index) -> String {
    dag.events[at].body.event_id().to_string()
}

/// The events that allow an event, and those that allow them.
fn auth_chain(dag: &Dag, at: Index) -> HashSet<Index> {
    let mut chain = HashSet::new();
    let mut open = dag.events[at].auth.clone();
    while let Some(at) = open.pop() {
        if chain.insert(at) {
            open.extend(&dag.events[at].auth);
        }
    }
    chain
}

/// The events of the state before an event, in the order in which they were made.
fn state_before(visitor: &Visitor<'_>, at: Index) -> Vec<Index> {
    let state = visitor.expected(visitor.dag.events[at].before).into_values();
    let mut state: Vec<Index> = state
        .map(|id| {
            visitor
                .dag
                .find(id.as_str().try_into().unwrap())
                .expect("an event of the room")
        })
        .collect();
    state.sort_unstable();
    state
}

/// Joins after an event, with the state but for members that do not allow the joining; returns the event.
async fn join_after(visitor: &mut Visitor<'_>, tip: Index) -> Index {
    let joined = visitor.dag.add(&[tip], &Attempt::message(CREATOR, "here"));
    let chain = auth_chain(&visitor.dag, joined);
    let mut state = state_before(visitor, joined);
    state.retain(|at| visitor.dag.events[*at].body.kind() != "m.room.member" || chain.contains(at));
    tell_outliers(visitor, &state).await;
    let join = ReceivedEvent {
        state_before: Some(GivenState {
            event_ids: state.iter().map(|at| id(&visitor.dag, *at)).collect(),
            partial: true,
            servers: vec!["example.com".to_owned(), "two.example".to_owned()],
        }),
        ..received(&visitor.dag, joined)
    };
    let outcomes = visitor.tell_events(vec![join]).await;
    assert_eq!(outcomes[0].outcome(), Outcome::Accepted, "{outcomes:?}");
    joined
}

/// Brings events and all that allows them as outliers.
async fn tell_outliers(visitor: &mut Visitor<'_>, events: &[Index]) {
    let mut all: Vec<Index> = events.to_vec();
    for at in events {
        all.extend(auth_chain(&visitor.dag, *at));
    }
    all.sort_unstable();
    all.dedup();
    let outliers = all.iter().map(|at| ReceivedEvent {
        outlier: true,
        ..received(&visitor.dag, *at)
    });
    let outliers = outliers.collect();
    visitor.tell_events(outliers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_was_joined_with_a_part_of_its_state_comes_to_what_it_would_be_with_all_of_it() {
    for (version, seed) in [RoomVersion::V2, RoomVersion::V8, RoomVersion::V11, RoomVersion::V12]
        .into_iter()
        .zip(300..)
    {
        for database in databases().await {
            let server = Server::start(&database, "one").await;
            let mut dag = Dag::random_of(version, seed);
            dag.grow(40);
            let mut visitor = Visitor::new(&server, dag);
            let newest = newest_with_creator(&visitor.dag);
            let joined = join_after(&mut visitor, newest).await;
            let room = visitor.room().await;
            let store = server.replica.store();
            let partial = store.partial_room(room.nid).await.unwrap().expect("it is partial");
            assert_eq!(partial.servers, ["example.com", "two.example"]);

            // What comes meanwhile follows the join.
            visitor.dag.grow_from(joined, 15);
            for at in joined + 1..visitor.dag.events.len() {
                let allowing: Vec<Index> = visitor.dag.events[at].auth.clone();
                tell_outliers(&mut visitor, &allowing).await;
                let outcome = visitor.tell(&[at]).await.remove(0);
                let kept = matches!(
                    outcome.outcome(),
                    Outcome::Accepted | Outcome::Rejected | Outcome::SoftFailed
                );
                assert!(kept, "event {at}: {outcome:?}");
            }

            let state = state_before(&visitor, joined);
            let complete = CompleteState {
                room_id: room.id.to_string(),
                event_id: id(&visitor.dag, joined),
                state: state.iter().map(|at| id(&visitor.dag, *at)).collect(),
            };
            let early = server
                .run("too early", Kind::CompleteState(complete.clone()))
                .await
                .unwrap();
            if let Some(outcome) = early.outcomes.first() {
                assert!(outcome.outcome() == Outcome::Missing && !outcome.missing.is_empty());
                assert!(store.partial_room(room.nid).await.unwrap().is_some());
            }
            tell_outliers(&mut visitor, &state).await;
            let done = server.run("complete", Kind::CompleteState(complete)).await.unwrap();
            assert!(done.outcomes.is_empty(), "{done:?}");
            assert_eq!(store.partial_room(room.nid).await.unwrap(), None);
            visitor.check_events(joined).await;
            // It goes on as a room like others.
            let last = visitor.dag.add(&[joined], &Attempt::message(CREATOR, "on"));
            visitor.tell(&[last]).await;
            assert_ne!(visitor.stored(last).await.status, EventStatus::Outlier);
            server.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_second_goes_on_from_what_has_begun() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let mut dag = Dag::random_of(RoomVersion::V11, 310);
        dag.grow(40);
        let mut visitor = Visitor::new(&server, dag);
        let newest = newest_with_creator(&visitor.dag);
        let first = join_after(&mut visitor, newest).await;
        let begun = visitor.stored(first).await;
        // Another worker did not know of the first when it asked for a part of the state too.
        let second = join_after(&mut visitor, first).await;
        assert_eq!(visitor.stored(second).await.state_before, begun.state_after);
        let room = visitor.room().await;
        let partial = server.replica.store().partial_room(room.nid).await.unwrap();
        assert_eq!(partial.expect("it is partial").event, begun.nid);
        server.stop().await;
    }
}

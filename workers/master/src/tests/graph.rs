//! Rooms whose history has forked: whatever the order in which events come, each finds its place and its state.

use std::collections::{BTreeMap, HashSet};

use plexus_core::{
    ids::NodeId,
    room_version::RoomVersion,
    row::{EventStatus, Membership, Row},
};
use plexus_proto::{EventOutcome, GivenState, ReceiveEvents, ReceivedEvent, command::Kind, event_outcome::Outcome};
use plexus_storage::{events::StoredEvent, room_heads, rooms::RoomInfo};
use plexus_testkit::{
    dag::{Attempt, CREATOR, Dag, Dice, Index},
    databases,
};
use ruma::server_name;
use serde_json::json;

use super::Server;
use crate::verify_room;

/// A state: the event of each type and key, by id.
type State = BTreeMap<(String, String), String>;

/// An event as whoever brings it tells it.
pub(super) fn received(dag: &Dag, at: Index) -> ReceivedEvent {
    ReceivedEvent {
        json: dag.events[at].body.json().to_owned().into(),
        ..ReceivedEvent::default()
    }
}

/// A room of other servers, and the master that is told of it.
pub(super) struct Visitor<'a> {
    server: &'a Server,
    pub(super) dag: Dag,
    commands: usize,
}

impl<'a> Visitor<'a> {
    pub(super) fn new(server: &'a Server, dag: Dag) -> Self {
        Self {
            server,
            dag,
            commands: 0,
        }
    }

    pub(super) async fn room(&self) -> std::sync::Arc<RoomInfo> {
        let room = self.server.replica.store().room(&self.dag.room_id()).await.unwrap();
        room.expect("the room is known")
    }

    /// Brings events in one Command.
    pub(super) async fn tell(&mut self, events: &[Index]) -> Vec<EventOutcome> {
        let events = events.iter().map(|at| received(&self.dag, *at));
        self.tell_events(events.collect()).await
    }

    pub(super) async fn tell_events(&mut self, events: Vec<ReceivedEvent>) -> Vec<EventOutcome> {
        self.tell_before(None, events).await
    }

    /// Brings what is history before an event, if one is given.
    pub(super) async fn tell_before(
        &mut self,
        before: Option<String>,
        events: Vec<ReceivedEvent>,
    ) -> Vec<EventOutcome> {
        self.commands += 1;
        let receive = ReceiveEvents {
            room_id: self.dag.room_id().to_string(),
            room_version: self.dag.rules.version.as_str().parse().unwrap(),
            events,
            before,
        };
        let id = format!("g{}{}", self.commands, rand::random::<u32>());
        let result = self.server.run(&id, Kind::ReceiveEvents(receive)).await;
        result.expect("the command runs").outcomes
    }

    pub(super) async fn stored(&self, at: Index) -> std::sync::Arc<StoredEvent> {
        let (store, id) = (self.server.replica.store(), self.dag.events[at].body.event_id());
        let event = store.known_event(self.room().await.nid, id).await.unwrap();
        event.expect("the event is stored")
    }

    /// The state at a root of the master's.
    pub(super) async fn state(&self, root: NodeId) -> State {
        let events = self
            .server
            .replica
            .store()
            .state_events(self.room().await.nid, root)
            .await;
        let entries = events.unwrap().into_iter().map(|event| {
            let key = event.body.state_key().expect("a state event").to_owned();
            ((event.body.kind().to_owned(), key), event.body.event_id().to_string())
        });
        entries.collect()
    }

    /// The state at a root of the DAG's.
    pub(super) fn expected(&self, root: NodeId) -> State {
        let entries = self.dag.facts.state(root).into_iter();
        entries
            .map(|(key, nid)| {
                (
                    key,
                    self.dag.events[plexus_testkit::dag::index(nid)]
                        .body
                        .event_id()
                        .to_string(),
                )
            })
            .collect()
    }

    pub(super) async fn head(&self) -> room_heads::RoomHead {
        let head = room_heads::load(&self.server.db, self.room().await.nid).await.unwrap();
        head.expect("the room has a head")
    }

    /// Every event has the status and the states that the rules give it, and the room the state that its branches come to.
    pub(super) async fn check(&mut self) {
        self.check_events(0).await;
        let (ours, id) = (server_name!("example.org"), self.dag.room_id().to_string());
        let verified = verify_room(&self.server.db, ours, &id, false).await.unwrap();
        assert_eq!(
            (verified.total, verified.events),
            (0, self.dag.events.len()),
            "{verified:?}"
        );
    }

    /// The same of the events from one on.
    pub(super) async fn check_events(&mut self, first: Index) {
        for at in first..self.dag.events.len() {
            let event = self.dag.events[at].clone();
            let stored = self.stored(at).await;
            assert_eq!(stored.status == EventStatus::Rejected, event.is_rejected, "event {at}");
            assert_eq!(
                self.state(stored.state_before).await,
                self.expected(event.before),
                "before event {at}"
            );
            assert_eq!(
                self.state(stored.state_after).await,
                self.expected(event.after),
                "after event {at}"
            );
            assert_eq!(stored.room_order.is_some(), stored.status == EventStatus::Accepted);
        }
        let head = self.head().await;
        let mut tips = Vec::new();
        for tip in self.server.replica.store().events(&head.extremities).await.unwrap() {
            assert_eq!(tip.status, EventStatus::Accepted);
            tips.push(self.dag.find(tip.body.event_id()).expect("an event of the room"));
        }
        let root = self.dag.state_before(&tips);
        assert_eq!(
            self.state(head.room_root).await,
            self.expected(root),
            "the room's state"
        );
        self.check_members(head).await;
    }

    /// The history of memberships ends with what the room's state says.
    async fn check_members(&self, head: room_heads::RoomHead) {
        let store = self.server.replica.store();
        let room = self.room().await.nid;
        let mut in_state = BTreeMap::new();
        for event in store.state_events(room, head.room_root).await.unwrap() {
            if let Some(membership) = event.body.membership() {
                in_state.insert(event.body.state_key().unwrap().to_owned(), membership);
            }
        }
        let mut in_history = BTreeMap::new();
        for (user, entry) in store.room_members(room).await.unwrap().iter() {
            let user = store.user_id(user).await.unwrap().expect("a user");
            in_history.insert(user.to_string(), entry.membership);
        }
        // Who came on a branch that did not hold has left.
        in_history.retain(|user, membership| in_state.contains_key(user) || *membership != Membership::Leave);
        assert_eq!(in_history, in_state);
        let count = |wanted| {
            let count = in_state.values().filter(|membership| **membership == wanted).count();
            i64::try_from(count).expect("far fewer")
        };
        assert_eq!(
            (head.joined, head.invited),
            (count(Membership::Join), count(Membership::Invite))
        );
    }
}

/// The newest event after which the creator is in the room.
pub(super) fn newest_with_creator(dag: &Dag) -> Index {
    let is_there = |at: &Index| {
        let event = &dag.events[*at];
        let member = dag.get(event.after, "m.room.member", CREATOR);
        let is_joined = |at: Index| dag.events[at].body.membership() == Some(Membership::Join);
        !event.is_rejected && member.is_some_and(is_joined)
    };
    (0..dag.events.len()).rev().find(is_there).expect("it made the room")
}

/// An order in which every event comes after those it refers to, other than the one they were made in.
fn shuffled(dag: &mut Dag) -> Vec<Index> {
    let mut order = Vec::new();
    let mut placed = HashSet::new();
    let mut open: Vec<Index> = (0..dag.events.len()).collect();
    while !open.is_empty() {
        let ready: Vec<Index> = open.iter().copied().filter(|at| is_ready(dag, *at, &placed)).collect();
        let next = *dag.dice().pick(&ready);
        placed.insert(next);
        order.push(next);
        open.retain(|at| *at != next);
    }
    order
}

fn is_ready(dag: &Dag, at: Index, placed: &HashSet<Index>) -> bool {
    let event = &dag.events[at];
    let prev = event.body.prev_events().iter().filter_map(|id| dag.find(id));
    prev.chain(event.auth.iter().copied()).all(|at| placed.contains(&at))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_history_leads_to_the_states_that_the_rules_give() {
    for (version, seed) in RoomVersion::ALL.into_iter().zip(1..) {
        for database in databases().await {
            let server = Server::start(&database, "one").await;
            let mut dag = Dag::random_of(version, seed);
            dag.grow(40);
            let order = shuffled(&mut dag);
            let mut visitor = Visitor::new(&server, dag);
            let mut rest = &order[..];
            while !rest.is_empty() {
                let size = 1 + visitor.dag.dice().below(6).min(rest.len() - 1);
                let outcomes = visitor.tell(&rest[..size]).await;
                let is_placed =
                    |outcome: &EventOutcome| !matches!(outcome.outcome(), Outcome::Invalid | Outcome::Missing);
                assert!(outcomes.iter().all(is_placed), "version {version}: {outcomes:?}");
                rest = &rest[size..];
            }
            visitor.check().await;
            server.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_comes_once_and_only_after_what_it_refers_to() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let mut dag = Dag::new(RoomVersion::V11, 1);
        let last = dag.last();
        let first = dag.add(&[last], &Attempt::message(CREATOR, "first"));
        let second = dag.add(&[first], &Attempt::message(CREATOR, "second"));
        let mut visitor = Visitor::new(&server, dag);
        let all: Vec<Index> = (0..=last).collect();
        visitor.tell(&all).await;

        let outcomes = visitor.tell(&[second]).await;
        assert_eq!(outcomes[0].outcome(), Outcome::Missing);
        assert_eq!(
            outcomes[0].missing,
            [visitor.dag.events[first].body.event_id().to_string()]
        );
        let outcomes = visitor.tell(&[first, second, first]).await;
        let seen: Vec<_> = outcomes
            .iter()
            .map(|outcome| (outcome.outcome(), outcome.is_new))
            .collect();
        let new = (Outcome::Accepted, true);
        assert_eq!(seen, [new, new, (Outcome::Accepted, false)]);

        let broken = ReceivedEvent {
            json: "{}".into(),
            ..ReceivedEvent::default()
        };
        assert_eq!(visitor.tell_events(vec![broken]).await[0].outcome(), Outcome::Invalid);
        let foreign = ReceivedEvent {
            json: visitor.dag.events[second]
                .body
                .json()
                .replace("!room:", "!other:")
                .into(),
            ..ReceivedEvent::default()
        };
        assert_eq!(visitor.tell_events(vec![foreign]).await[0].outcome(), Outcome::Invalid);
        server.stop().await;
    }
}

/// A room that is joined elsewhere begins with a state from there; what belongs before it may come later.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_begins_with_a_given_state() {
    let alice = "@alice:example.org";
    for version in [RoomVersion::V10, RoomVersion::V12] {
        for database in databases().await {
            let server = Server::start(&database, "one").await;
            server.register(alice).await;
            let mut dag = Dag::new(version, 1);
            let base = dag.last();
            let joined = dag.add(&[base], &Attempt::member(alice, alice, "join"));
            let mut visitor = Visitor::new(&server, dag);
            let outliers = (0..=base).map(|at| ReceivedEvent {
                outlier: true,
                ..received(&visitor.dag, at)
            });
            let outcomes = visitor.tell_events(outliers.collect()).await;
            assert!(outcomes.iter().all(|outcome| outcome.outcome() == Outcome::Outlier));
            assert_eq!(visitor.tell(&[joined]).await[0].outcome(), Outcome::Missing);
            let state = (0..=base).map(|at| visitor.dag.events[at].body.event_id().to_string());
            let join = ReceivedEvent {
                state_before: Some(GivenState {
                    event_ids: state.collect(),
                    ..GivenState::default()
                }),
                ..received(&visitor.dag, joined)
            };
            let room = visitor.dag.room_id().to_string();
            assert_eq!(visitor.tell_events(vec![join]).await[0].outcome(), Outcome::Accepted);
            server
                .send("said", &room, alice, "hello")
                .await
                .expect("she is a member");
            let head = visitor.head().await;
            let expected = visitor.expected(visitor.dag.events[joined].after);
            assert_eq!(visitor.state(head.room_root).await, expected);
            assert_eq!(visitor.stored(0).await.status, EventStatus::Outlier);
            // The create event has no place but the one before everything.
            let again = visitor.tell(&[0]).await;
            assert_eq!((again[0].outcome(), again[0].is_new), (Outcome::Outlier, false));
            let later = visitor.dag.add(&[joined], &Attempt::message(CREATOR, "hello"));
            let outlier = ReceivedEvent {
                outlier: true,
                ..received(&visitor.dag, later)
            };
            assert_eq!(visitor.tell_events(vec![outlier]).await[0].outcome(), Outcome::Outlier);
            assert_eq!(visitor.stored(later).await.room_order, None);
            let placed = visitor.tell(&[later]).await;
            assert_eq!((placed[0].outcome(), placed[0].is_new), (Outcome::Accepted, true));
            let placed = visitor.stored(later).await;
            assert_eq!(placed.status, EventStatus::Accepted);
            assert_eq!(placed.room_order, Some(visitor.head().await.room_order));
            server.stop().await;
        }
    }
}

/// A redaction counts whenever it comes, if its sender has the power.
#[tokio::test(flavor = "multi_thread")]
async fn a_redaction_waits_for_its_event() {
    let bob = "@bob:two.example";
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let mut dag = Dag::new(RoomVersion::V11, 1);
        let base = dag.add(&[dag.last()], &Attempt::member(bob, bob, "join"));
        let early = dag.add(&[base], &Attempt::message(CREATOR, "early"));
        let late = dag.add(&[base], &Attempt::message(CREATOR, "late"));
        let kept = dag.add(&[base], &Attempt::message(CREATOR, "kept"));
        let mut redact = |sender: &str, target: Index| {
            let redacts = dag.events[target].body.event_id().to_string();
            let mut attempt = Attempt::message(sender, "");
            attempt.kind = "m.room.redaction".to_owned();
            attempt.content = json!({ "redacts": redacts });
            dag.add(&[base], &attempt)
        };
        let (redact_early, redact_late) = (redact(CREATOR, early), redact(CREATOR, late));
        let powerless = redact(bob, kept);
        let mut visitor = Visitor::new(&server, dag);
        visitor.tell(&(0..=early).collect::<Vec<_>>()).await;
        visitor.tell(&[redact_early, redact_late, powerless]).await;
        visitor.tell(&[late, kept]).await;
        let content = async |at| visitor.stored(at).await.body.content().to_owned();
        assert_eq!(
            (content(early).await, content(late).await),
            ("{}".to_owned(), "{}".to_owned())
        );
        assert!(content(kept).await.contains("kept"));
        let redacted = visitor.stored(late).await.redacted_by;
        assert_eq!(redacted, Some(visitor.stored(redact_late).await.nid));
        server.stop().await;
    }
}

/// The attempts of somebody who was banned on another branch: allowed where they stand, and not by the room's state.
fn banned_speaks(dag: &mut Dag) -> (Vec<Index>, Index) {
    let bob = "@bob:two.example";
    let joined = dag.add(&[dag.last()], &Attempt::member(bob, bob, "join"));
    let ban = dag.add(&[joined], &Attempt::member(CREATOR, bob, "ban"));
    let mut soft = vec![dag.add(&[joined], &Attempt::message(bob, "0"))];
    for number in 1..20 {
        let before = *soft.last().expect("there is one");
        soft.push(dag.add(&[before], &Attempt::message(bob, &number.to_string())));
    }
    (soft, ban)
}

/// Seed rows 5274, 5278 and 5291.
#[tokio::test(flavor = "multi_thread")]
async fn soft_failed_events_never_become_ends_and_go_with_what_follows_them() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let mut dag = Dag::new(RoomVersion::V10, 1);
        let (soft, ban) = banned_speaks(&mut dag);
        let fork = dag.add(&[ban - 1], &Attempt::message(CREATOR, "another branch"));
        let merge = dag.add(
            &[*soft.last().unwrap(), ban],
            &Attempt::message(CREATOR, "on all of them"),
        );
        let mut visitor = Visitor::new(&server, dag);
        visitor.tell(&(0..=ban).collect::<Vec<_>>()).await;
        let outcomes = visitor.tell(&soft).await;
        assert!(
            outcomes.iter().all(|outcome| outcome.outcome() == Outcome::SoftFailed),
            "{outcomes:?}"
        );
        assert_eq!(visitor.head().await.extremities, [visitor.stored(ban).await.nid]);

        visitor.tell(&[fork]).await;
        let ends = visitor.head().await.extremities;
        assert_eq!(ends, [visitor.stored(ban).await.nid, visitor.stored(fork).await.nid]);
        assert_eq!(visitor.tell(&[merge]).await[0].outcome(), Outcome::Accepted);
        let ends = visitor.head().await.extremities;
        assert_eq!(ends, [visitor.stored(fork).await.nid, visitor.stored(merge).await.nid]);
        visitor.check().await;
        let shown = server.log().await.into_iter().flat_map(|frame| frame.rows);
        let shown = shown.filter(|row| matches!(row, Row::Event(_))).count();
        assert_eq!(
            shown,
            visitor.dag.events.len() - soft.len(),
            "nobody is shown what soft-failed"
        );
        server.stop().await;
    }
}

/// State changed by resolution reaches whoever follows the log, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_membership_that_resolution_changes_is_told_once() {
    let (bob, carol) = ("@bob:two.example", "@carol:two.example");
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let mut dag = Dag::new(RoomVersion::V11, 1);
        let levels = |bobs: i64| json!({"users": {CREATOR: 100, bob: bobs}});
        let mut add = |prev: Index, attempt: &Attempt| dag.add(&[prev], attempt);
        let bobs = add(3, &Attempt::member(bob, bob, "join"));
        let carols = add(bobs, &Attempt::member(carol, carol, "join"));
        let base = add(carols, &Attempt::state(CREATOR, "m.room.power_levels", "", levels(50)));
        let ban = add(base, &Attempt::member(bob, carol, "ban"));
        // At the same time, on another branch, Bob loses the power to do so.
        let demotion = add(base, &Attempt::state(CREATOR, "m.room.power_levels", "", levels(0)));
        let last = dag.add(&[ban, demotion], &Attempt::message(carol, "still here"));
        let mut visitor = Visitor::new(&server, dag);
        visitor.tell(&(0..=ban).collect::<Vec<_>>()).await;
        visitor.tell(&[demotion]).await;
        assert_eq!(visitor.tell(&[last]).await[0].outcome(), Outcome::Accepted);
        visitor.check().await;
        let history = history_of(&server, carol).await;
        assert_eq!(history, [Membership::Join, Membership::Ban, Membership::Join]);
        server.stop().await;
    }
}

/// What the rows of the log say of a user, in order.
async fn history_of(server: &Server, user: &str) -> Vec<Membership> {
    let user = server.replica.store().user_nid(user.try_into().unwrap()).await.unwrap();
    let mut history = Vec::new();
    for row in server.log().await.into_iter().flat_map(|frame| frame.rows) {
        if let Row::Event(event) = row {
            history.extend(event.membership);
        } else if let Row::State(state) = row {
            history.extend(state.memberships.into_iter().map(|(who, is, _)| (who, is)));
        }
    }
    history.retain(|(who, _)| Some(*who) == user);
    history.into_iter().map(|(_, is)| is).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_ends_are_joined_by_what_is_sent() {
    const ENDS: usize = 1_000;
    let alice = "@alice:example.org";
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(alice).await;
        let mut dag = Dag::new(RoomVersion::V11, 1);
        let base = dag.last();
        let mut dice = Dice::new(1);
        let mut ends = Vec::new();
        for number in 0..ENDS {
            // A few of them have states of their own.
            let attempt = if dice.chance(1) {
                Attempt::state(CREATOR, "m.room.topic", &number.to_string(), json!({"topic": number}))
            } else {
                Attempt::message(CREATOR, &number.to_string())
            };
            ends.push(dag.add(&[base], &attempt));
        }
        let room = dag.room_id().to_string();
        let mut visitor = Visitor::new(&server, dag);
        visitor.tell(&(0..=base).collect::<Vec<_>>()).await;
        for chunk in ends.chunks(100) {
            visitor.tell(chunk).await;
        }
        assert_eq!(visitor.head().await.extremities.len(), ENDS);
        visitor.check().await;
        server.join(&room, alice).await.expect("the room is public");
        let mut left = visitor.head().await.extremities.len();
        for number in 0.. {
            if left == 1 {
                break;
            }
            server
                .send(&format!("s{number}"), &room, alice, "hello")
                .await
                .expect("a member may talk");
            let now = visitor.head().await.extremities.len();
            assert!(now < left, "each event joins some");
            left = now;
        }
        server.stop().await;
    }
}

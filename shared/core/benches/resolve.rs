//! Resolving forks of large rooms: by us, and by `ruma-state-res` from the same stored data and from maps that are cut to the difference before.
//!
//! A room is built of numbers: state nodes and auth edges for all its members, events only for those that a fork is about.

#[path = "../tests/resolve/ruma_event.rs"]
mod ruma_event;

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
    sync::Arc,
    time::Duration,
};

use criterion::{Criterion, criterion_group, criterion_main};
use plexus_core::{
    auth::check,
    auth_chain::ChainCache,
    event::{EventBody, NewEvent, SigningKey},
    ids::{EventNid, NodeId, RoomNid, StateKeyNid},
    resolve::{Facts, Known, resolve},
    room_version::{RoomVersion, RoomVersionRules},
    state::{Node, Shape, change, entries, get},
};
use ruma::{EventId, OwnedEventId, RoomVersionId, UserId, events::StateEventType, room_id, server_name};
use ruma_event::RumaEvent;
use ruma_state_res::{StateMap, utils::event_id_set::EventIdSet};
use serde_json::{Value, json, value::to_raw_value};

const RULES: &RoomVersionRules = RoomVersion::V11.rules();

/// How many power-levels events there were before the fork.
const POWER_LEVELS: i64 = 200;

/// The keys with a number of their own; members come after.
const CREATE: StateKeyNid = StateKeyNid(1);
const LEVELS: StateKeyNid = StateKeyNid(2);
const JOIN_RULES: StateKeyNid = StateKeyNid(3);
const FIRST_MEMBER: i64 = 10;

/// A large room. Member 0 has made it.
struct World {
    edges: Vec<Arc<[EventNid]>>,
    events: BTreeMap<EventNid, Known>,
    /// What each event sets, as far as there is no event for it.
    nodes: Vec<Arc<Node>>,
    key: SigningKey,
    create: EventNid,
    join_rules: EventNid,
}

/// A branch of a room as it grows.
#[derive(Clone, Copy)]
struct Branch {
    root: NodeId,
    levels: EventNid,
}

fn user(member: i64) -> String {
    format!("@user{member}:example.org")
}

impl World {
    fn new(members: i64) -> (Self, Branch) {
        let mut world = Self {
            edges: Vec::new(),
            events: BTreeMap::new(),
            nodes: Vec::new(),
            key: SigningKey::from_seed("1", &[5; 32]).expect("valid"),
            create: EventNid(1),
            join_rules: EventNid(0),
        };
        let create = world.send(0, "m.room.create", "", &json!({"room_version": "11"}), &[]);
        let creator = world.send(0, "m.room.member", &user(0), &json!({"membership": "join"}), &[create]);
        let mut levels = world.send(0, "m.room.power_levels", "", &levels_content(0), &[create, creator]);
        world.join_rules = world.send(
            0,
            "m.room.join_rules",
            "",
            &json!({"join_rule": "public"}),
            &[create, creator, levels],
        );
        let mut state = vec![
            (member_key(0), Some(creator)),
            (CREATE, Some(create)),
            (JOIN_RULES, Some(world.join_rules)),
        ];
        for member in 1..members {
            if member % (members / POWER_LEVELS) == 0 {
                levels = world.send(
                    0,
                    "m.room.power_levels",
                    "",
                    &levels_content(member),
                    &[create, creator, levels],
                );
            }
            state.push((
                member_key(member),
                Some(world.number(&[create, world.join_rules, levels])),
            ));
        }
        state.push((LEVELS, Some(levels)));
        let root = world.change(NodeId::EMPTY, &state);
        (world, Branch { root, levels })
    }

    /// A number without an event.
    fn number(&mut self, auth: &[EventNid]) -> EventNid {
        self.edges.push(auth.into());
        EventNid(i64::try_from(self.edges.len()).expect("fits"))
    }

    fn send(&mut self, sender: i64, kind: &str, state_key: &str, content: &Value, auth: &[EventNid]) -> EventNid {
        let event = self.number(auth);
        let ids: Vec<_> = auth.iter().map(|event| self.id(*event)).collect();
        let sender = UserId::parse(user(sender)).expect("valid");
        let new = NewEvent {
            room_id: Some(room_id!("!room:example.org")),
            sender: &sender,
            kind,
            state_key: Some(state_key),
            content: &to_raw_value(content).expect("JSON"),
            prev_events: &ids[..ids.len().min(1)],
            auth_events: &ids,
            depth: event.0,
            origin_server_ts: 1_700_000_000_000 + event.0.unsigned_abs(),
            redacts: None,
            legacy: None,
        };
        let body = new.seal(RULES, &self.key, server_name!("example.org")).expect("valid");
        let known = Known {
            body: Arc::new(body),
            is_rejected: false,
        };
        self.events.insert(event, known);
        event
    }

    fn id(&self, event: EventNid) -> OwnedEventId {
        match self.events.get(&event) {
            Some(known) => known.body.event_id().to_owned(),
            None => EventId::parse(format!("${:043}", event.0)).expect("valid"),
        }
    }

    fn change(&mut self, root: NodeId, changes: &[(StateKeyNid, Option<EventNid>)]) -> NodeId {
        let mut next = NodeId(i64::try_from(self.nodes.len()).expect("fits") + 1);
        let after = change(Shape::ROOM, root, changes, &|id| self.node(id), &mut next).expect("all there");
        self.nodes.extend(after.new_nodes.into_iter().map(|(_, node)| node));
        after.root
    }

    fn find(&self, root: NodeId, key: StateKeyNid) -> Option<EventNid> {
        get(root, key, &|id| self.node(id)).expect("all there")
    }

    fn in_state(&self, root: NodeId, key: StateKeyNid) -> EventNid {
        self.find(root, key).expect("set")
    }

    /// A member changes their name on a branch.
    fn rename(&mut self, branch: &mut Branch, member: i64, name: &str) {
        let before = self.in_state(branch.root, member_key(member));
        if !self.events.contains_key(&before) {
            self.make_up(member, before);
        }
        let content = json!({"membership": "join", "displayname": name});
        let auth = [self.create, self.join_rules, branch.levels, before];
        let event = self.send(member, "m.room.member", &user(member), &content, &auth);
        branch.root = self.change(branch.root, &[(member_key(member), Some(event))]);
    }

    /// A member who has been there since ever invites someone on a branch. Whether others came by this member, only the whole state can tell.
    fn invite(&mut self, branch: &mut Branch, member: i64, target: i64) {
        let inviter = self.in_state(branch.root, member_key(member));
        self.make_up(member, inviter);
        let auth = [self.create, self.join_rules, inviter, branch.levels];
        let content = json!({"membership": "invite"});
        let event = self.send(member, "m.room.member", &user(target), &content, &auth);
        branch.root = self.change(branch.root, &[(member_key(target), Some(event))]);
    }

    /// The creator changes the power levels on a branch.
    fn change_levels(&mut self, branch: &mut Branch, level: i64) {
        let creator = self.in_state(branch.root, member_key(0));
        let auth = [self.create, creator, branch.levels];
        branch.levels = self.send(0, "m.room.power_levels", "", &levels_content(level), &auth);
        branch.root = self.change(branch.root, &[(LEVELS, Some(branch.levels))]);
    }

    /// Makes the event of a member's join.
    fn make_up(&mut self, member: i64, event: EventNid) {
        let auth = self.edges[usize::try_from(event.0 - 1).expect("fits")].clone();
        let made = self.send(
            member,
            "m.room.member",
            &user(member),
            &json!({"membership": "join"}),
            &auth,
        );
        let known = self.events.remove(&made).expect("just made");
        self.events.insert(event, known);
    }
}

fn levels_content(level: i64) -> Value {
    json!({"users": {"@user0:example.org": 100, "@user1:example.org": level % 100}})
}

fn member_key(member: i64) -> StateKeyNid {
    StateKeyNid(FIRST_MEMBER + member)
}

/// A key as ruma writes it.
fn name(key: StateKeyNid) -> (StateEventType, String) {
    match key {
        CREATE => (StateEventType::RoomCreate, String::new()),
        LEVELS => (StateEventType::RoomPowerLevels, String::new()),
        JOIN_RULES => (StateEventType::RoomJoinRules, String::new()),
        StateKeyNid(member) => (StateEventType::RoomMember, user(member - FIRST_MEMBER)),
    }
}

impl Facts for World {
    fn node(&self, id: NodeId) -> Option<Arc<Node>> {
        self.nodes.get(usize::try_from(id.0 - 1).ok()?).cloned()
    }

    fn event(&self, event: EventNid) -> Option<Known> {
        self.events.get(&event).cloned()
    }

    fn auth_parents(&self, event: EventNid) -> Option<Arc<[EventNid]>> {
        self.edges.get(usize::try_from(event.0 - 1).ok()?).cloned()
    }

    fn state_key(&self, kind: &str, state_key: &str) -> Option<Option<StateKeyNid>> {
        Some(match kind {
            "m.room.create" => Some(CREATE),
            "m.room.power_levels" => Some(LEVELS),
            "m.room.join_rules" => Some(JOIN_RULES),
            _ => {
                let digits = state_key
                    .strip_prefix("@user")
                    .and_then(|rest| rest.strip_suffix(":example.org"));
                digits.and_then(|digits| digits.parse().ok()).map(member_key)
            }
        })
    }

    fn create(&self) -> Arc<EventBody> {
        self.events[&self.create].body.clone()
    }
}

/// Two branches that each rename the same members, so often each, and change the power levels now and then.
fn forked(members: i64, renamed: i64, times: i64) -> (World, Vec<NodeId>) {
    let (mut world, start) = World::new(members);
    let mut roots = Vec::new();
    for side in 0..2 {
        let mut branch = start;
        for step in 0..renamed {
            if step % 25 == 10 {
                world.change_levels(&mut branch, step + side);
            }
            for time in 0..times {
                world.rename(
                    &mut branch,
                    7 + step * (members / renamed - 1),
                    &format!("{side} {time}"),
                );
            }
        }
        if side == 0 {
            world.invite(&mut branch, 3, members + 1);
        }
        roots.push(branch.root);
    }
    (world, roots)
}

/// What ruma resolves from.
struct ForRuma {
    maps: Vec<StateMap<OwnedEventId>>,
    chains: Vec<EventIdSet<OwnedEventId>>,
    events: BTreeMap<OwnedEventId, RumaEvent>,
}

impl ForRuma {
    fn events(world: &World) -> BTreeMap<OwnedEventId, RumaEvent> {
        let of = |known: &Known| {
            (
                known.body.event_id().to_owned(),
                RumaEvent::new(known.body.clone(), false),
            )
        };
        world.events.values().map(of).collect()
    }

    /// Everything, read from what is stored.
    fn whole(world: &World, roots: &[NodeId], events: BTreeMap<OwnedEventId, RumaEvent>) -> Self {
        let states: Vec<BTreeMap<_, _>> = roots
            .iter()
            .map(|root| {
                let mut out = Vec::new();
                entries(*root, &|id| world.node(id), &mut out).expect("all there");
                out.into_iter().collect()
            })
            .collect();
        Self::of(world, &states, events)
    }

    /// What differs, and the few keys that it is judged by.
    fn cut(world: &World, roots: &[NodeId], events: BTreeMap<OwnedEventId, RumaEvent>) -> Self {
        let differing = plexus_core::state::diff(roots[0], roots[1], &|id| world.node(id)).expect("all there");
        let keys: BTreeSet<_> = differing
            .iter()
            .map(|one| one.key)
            .chain([CREATE, LEVELS, JOIN_RULES, member_key(0)])
            .collect();
        let states: Vec<BTreeMap<_, _>> = roots
            .iter()
            .map(|root| {
                keys.iter()
                    .filter_map(|key| Some((*key, world.find(*root, *key)?)))
                    .collect()
            })
            .collect();
        Self::of(world, &states, events)
    }

    fn of(
        world: &World,
        states: &[BTreeMap<StateKeyNid, EventNid>],
        events: BTreeMap<OwnedEventId, RumaEvent>,
    ) -> Self {
        let map = |state: &BTreeMap<_, _>| {
            state
                .iter()
                .map(|(key, event)| (name(*key), world.id(*event)))
                .collect()
        };
        let chain = |state: &BTreeMap<_, EventNid>| {
            let mut queue: BTreeSet<EventNid> = BTreeSet::new();
            for event in state.values() {
                queue.extend(world.auth_parents(*event).expect("all there").iter());
            }
            let mut chain = EventIdSet::new();
            while let Some(event) = queue.pop_last() {
                chain.insert(world.id(event));
                queue.extend(world.auth_parents(event).expect("all there").iter());
            }
            chain
        };
        Self {
            maps: states.iter().map(map).collect(),
            chains: states.iter().map(chain).collect(),
            events,
        }
    }

    fn resolve(&self, chains: Vec<EventIdSet<OwnedEventId>>) -> StateMap<OwnedEventId> {
        let rules = RoomVersionId::V11.rules().expect("known");
        let v2 = rules.state_res.v2_rules().expect("it is v2");
        let fetch = |id: &EventId| self.events.get(id).cloned();
        ruma_state_res::resolve(&rules.authorization, v2, &self.maps, chains, fetch, |_| None).expect("well-formed")
    }
}

/// 2 branches, 20 events in conflict, in ever larger rooms.
fn small_forks(c: &mut Criterion) {
    let mut group = c.benchmark_group("fork of 20");
    for members in [10_000, 100_000, 1_000_000] {
        let (world, roots) = forked(members, 10, 1);
        let cache = ChainCache::new(64 << 20);
        let chains = cache.of(RoomNid(1));
        let resolved = resolve(RULES, &roots, &world, Some(chains)).expect("all there");
        println!(
            "{members} members: {} in question, {} changes, {} bytes remembered",
            resolved.conflicted,
            resolved.changes.len(),
            cache.weight_bytes()
        );
        group.bench_function(format!("{members} members"), |b| {
            b.iter(|| resolve(RULES, black_box(&roots), &world, Some(chains)));
        });
        group
            .sample_size(10)
            .bench_function(format!("{members} members, nothing remembered"), |b| {
                b.iter(|| resolve(RULES, black_box(&roots), &world, None));
            });
    }
    group.finish();
}

/// 1,000 events in conflict, with more behind them, in a room of 100,000.
fn large_fork(c: &mut Criterion) {
    let (world, roots) = forked(100_000, 500, 5);
    let cache = ChainCache::new(64 << 20);
    let chains = cache.of(RoomNid(1));
    let ours = resolve(RULES, &roots, &world, Some(chains)).expect("all there");
    println!("{} in question, {} changes", ours.conflicted, ours.changes.len());
    let whole = ForRuma::whole(&world, &roots, ForRuma::events(&world));
    let cut = ForRuma::cut(&world, &roots, ForRuma::events(&world));
    let theirs = whole.resolve(whole.chains.clone());
    for (key, event) in &ours.changes {
        let expected = event.map(|event| world.id(event));
        assert_eq!(expected.as_ref(), theirs.get(&name(*key)), "ruma disagrees");
    }
    let mut group = c.benchmark_group("fork of 1,000");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.bench_function("plexus", |b| {
        b.iter(|| resolve(RULES, black_box(&roots), &world, Some(chains)));
    });
    group.bench_function("plexus, nothing remembered", |b| {
        b.iter(|| resolve(RULES, black_box(&roots), &world, None));
    });
    let events = ForRuma::events(&world);
    group.bench_function("ruma, from what is stored", |b| {
        b.iter(|| {
            let whole = ForRuma::whole(&world, &roots, events.clone());
            whole.resolve(whole.chains.clone())
        });
    });
    group.bench_function("ruma, cut to the difference before", |b| {
        b.iter_batched(
            || cut.chains.clone(),
            |chains| cut.resolve(chains),
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// A message, judged by state in memory.
fn authorize(c: &mut Criterion) {
    let (mut world, branch) = World::new(1_000);
    let creator = world.in_state(branch.root, member_key(0));
    let message = world.send(
        0,
        "m.room.topic",
        "",
        &json!({"topic": "x"}),
        &[world.create, creator, branch.levels],
    );
    let body = world.events[&message].body.clone();
    let create = world.create();
    let (levels, member) = (
        world.events[&branch.levels].body.clone(),
        world.events[&creator].body.clone(),
    );
    let state = |kind: &str, _: &str| match kind {
        "m.room.power_levels" => Some(levels.clone()),
        "m.room.member" => Some(member.clone()),
        _ => None,
    };
    c.bench_function("authorize one event", |b| {
        b.iter(|| check(RULES, black_box(&body), Some(&create), &state));
    });
}

criterion_group!(benches, authorize, small_forks, large_fork);
criterion_main!(benches);

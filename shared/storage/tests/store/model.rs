//! Many reads against many rows, in a random order: every read answers exactly what was so at the position it fixed, however far the database is ahead,
//! whichever rows overtake it, and whoever goes away in between.

use std::{collections::BTreeMap, future::Future, pin::Pin};

use futures_util::{future::join_all, poll};
use plexus_core::{
    ids::{NodeId, RoomNid, UserNid},
    position::Sequence,
    room_version::RoomVersion,
    row::{EventRow, Membership, Row},
};
use plexus_storage::{db::Value, events, memberships, rooms::RoomInfo};

use crate::support::{World, event_row, message, positions, worlds};

const STEPS: usize = 1_500;
const ROOMS: i64 = 3;
const USERS: i64 = 3;
/// Most reads under way: each may hold one of the four connections of a test database, and the master needs one.
const READS_MAX: usize = 3;

type Read = Pin<Box<dyn Future<Output = ()>>>;

/// One event, which perhaps is a member event; its number is its position.
#[derive(Clone, Copy)]
struct Persisted {
    room: RoomNid,
    member: Option<(UserNid, Membership)>,
}

/// xorshift64*: the same order in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        i64::try_from(bits).unwrap() % bound
    }
}

struct Model {
    world: World,
    rooms: Vec<RoomInfo>,
    random: Random,
    /// What the database has; this process has heard of the first `applied`.
    log: Vec<Persisted>,
    applied: usize,
}

impl Model {
    async fn new(world: World) -> Self {
        let mut rooms = Vec::new();
        for nid in 1..=ROOMS {
            rooms.push(world.room(nid, RoomVersion::V12).await);
        }
        Self {
            world,
            rooms,
            random: Random(0x9E37_79B9),
            log: Vec::new(),
            applied: 0,
        }
    }

    /// The master persists an event.
    async fn persist(&mut self) {
        let room = &self.rooms[usize::try_from(self.random.below(ROOMS)).unwrap()];
        let user = UserNid(1 + self.random.below(USERS));
        let membership = Membership::ALL[usize::try_from(self.random.below(5)).unwrap()];
        let member = (self.random.below(3) == 0).then_some((user, membership));
        self.log.push(Persisted { room: room.nid, member });
        let position = i64::try_from(self.log.len()).unwrap();
        let event = message(room, position);
        let mut statements = vec![events::insert(&event, Value::Int(position))];
        if let Some((user, membership)) = member {
            statements.push(memberships::insert(
                user,
                room.nid,
                Value::Int(position),
                membership,
                event.nid,
            ));
        }
        self.world.write(statements).await;
    }

    /// The next row arrives, now and then without its body.
    fn apply(&mut self) {
        let Some(persisted) = self.log.get(self.applied) else {
            return;
        };
        self.applied += 1;
        let position = self.here();
        let room = self.rooms.iter().find(|room| room.nid == persisted.room).unwrap();
        let row = event_row(&message(room, position));
        let body = row.body.clone().filter(|_| self.random.below(10) > 0);
        let row = EventRow {
            membership: persisted.member,
            body,
            ..row
        };
        self.world.apply(position, &Row::Event(row));
    }

    fn here(&self) -> Sequence {
        i64::try_from(self.applied).unwrap()
    }

    /// The log up to where this process is, newest first.
    fn heard(&self) -> impl Iterator<Item = (Sequence, Persisted)> + '_ {
        (1..)
            .zip(self.log[..self.applied].iter().copied())
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
    }

    /// Begins a read at the position this process has reached.
    fn read(&mut self) -> Read {
        let store = self.world.store.clone();
        let at = self.here();
        let room = RoomNid(1 + self.random.below(ROOMS));
        let user = UserNid(1 + self.random.below(USERS));
        let of_room = |(position, persisted): (Sequence, Persisted)| (persisted.room == room).then_some(position);
        match self.random.below(5) {
            0 => {
                let after = self.random.below(at + 1);
                let limit = usize::try_from(1 + self.random.below(70)).unwrap();
                let expected: Vec<_> = self
                    .heard()
                    .filter_map(of_room)
                    .take_while(|p| *p > after)
                    .take(limit)
                    .collect();
                Box::pin(async move {
                    let found = store.events_between(room, after, at, limit).await.unwrap();
                    assert_eq!(positions(&found), expected, "({after}, {at}] of {room:?}");
                })
            }
            1 => {
                let expected = self.heard().find_map(of_room).map(NodeId);
                Box::pin(async move {
                    assert_eq!(
                        store.room_root_at(room, at).await.unwrap(),
                        expected,
                        "{room:?} at {at}"
                    );
                })
            }
            2 => {
                let expected =
                    self.newest(|persisted, member| (persisted.room == room && member == user).then_some(()));
                let expected = expected.into_values().next();
                Box::pin(async move {
                    let found = store.membership_at(user, room, at).await.unwrap();
                    let found = found.map(|entry| (entry.membership, entry.position));
                    assert_eq!(found, expected, "{user:?} in {room:?} at {at}");
                })
            }
            3 => {
                let expected = self.newest(|persisted, member| (member == user).then_some(persisted.room));
                Box::pin(async move {
                    let found = store.user_rooms_at(user, at).await.unwrap();
                    let found: BTreeMap<_, _> = found
                        .iter()
                        .map(|(room, entry)| (room, (entry.membership, entry.position)))
                        .collect();
                    assert_eq!(found, expected, "rooms of {user:?} at {at}");
                })
            }
            _ => {
                let expected = self.newest(|persisted, member| (persisted.room == room).then_some(member));
                let joined = expected
                    .values()
                    .filter(|(membership, _)| *membership == Membership::Join)
                    .count();
                Box::pin(async move {
                    let found = store.room_members_at(room, at).await.unwrap();
                    assert_eq!(found.joined(), joined, "members of {room:?} at {at}");
                    let found: BTreeMap<_, _> = found
                        .iter()
                        .map(|(user, entry)| (user, (entry.membership, entry.position)))
                        .collect();
                    assert_eq!(found, expected, "members of {room:?} at {at}");
                })
            }
        }
    }

    /// The newest memberships that this process has heard of, by key.
    fn newest<K: Ord>(&self, key: impl Fn(Persisted, UserNid) -> Option<K>) -> BTreeMap<K, (Membership, Sequence)> {
        let mut newest = BTreeMap::new();
        for (position, persisted) in self.heard() {
            if let Some((user, membership)) = persisted.member
                && let Some(key) = key(persisted, user)
            {
                newest.entry(key).or_insert((membership, position));
            }
        }
        newest
    }

    async fn run(mut self) {
        let mut reads: Vec<Read> = Vec::new();
        for _ in 0..STEPS {
            match self.random.below(12) {
                0..=2 => self.persist().await,
                3..=5 => self.apply(),
                6..=8 if reads.len() < READS_MAX => {
                    let mut read = self.read();
                    if poll!(&mut read).is_pending() {
                        reads.push(read);
                    }
                }
                9 if !reads.is_empty() => {
                    let index = usize::try_from(self.random.below(i64::try_from(reads.len()).unwrap())).unwrap();
                    drop(reads.swap_remove(index));
                }
                10 => {
                    // So that there are loads for rows to overtake. Now and then the reader has fallen too far behind and starts again at the head.
                    self.world.store.drop_mutable_caches();
                    if self.random.below(5) == 0 {
                        self.applied = self.log.len();
                    }
                }
                // All at once: readers of one thing wait for the one who loads it.
                _ => drop(join_all(reads.drain(..)).await),
            }
        }
        join_all(reads).await;
        assert!(self.applied > STEPS / 6, "{} rows were applied", self.applied);
    }
}

#[tokio::test]
async fn every_read_answers_at_its_position() {
    for world in worlds().await {
        Model::new(world).await.run().await;
    }
}

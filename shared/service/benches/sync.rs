//! What syncs cost: one message to 100 waiting members, the round with nothing new, and initial syncs of 20 rooms.

#[path = "../tests/sync/world/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the world of the tests, of which a bench needs a part"
)]
mod world;

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::{future::join_all, poll};
use plexus_core::ids::RoomNid;
use plexus_service::{
    Requester, ServiceError,
    sync::{SyncRequest, SyncResponse, sync},
};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use world::{World, filtered, since, waiting};

const MEMBERS: usize = 100;
const ROOMS: usize = 20;

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<SyncResponse, ServiceError>> + 'a>>;

struct Crowd {
    world: World,
    room: RoomNid,
    members: Vec<Requester>,
    requests: Vec<SyncRequest>,
}

async fn crowd() -> Crowd {
    let mut world = World::new().await;
    let mut members = Vec::new();
    for n in 0..MEMBERS {
        members.push(world.user(&format!("user{n}")).await);
    }
    let room = world.room(&members[0]).await;
    for member in &members[1..] {
        world.join(room, member).await;
    }
    let lazy = json!({"room": {"state": {"lazy_load_members": true}}});
    let mut requests = Vec::new();
    for member in &members {
        let first = world.sync(member, filtered(&lazy, SyncRequest::default())).await;
        requests.push(waiting(filtered(&lazy, since(&first))));
    }
    Crowd {
        world,
        room,
        members,
        requests,
    }
}

/// Sends one message to everybody who waits. Measured is all that the syncs do and nothing of what the send does: until they wait, and from the frame until
/// all are answered.
async fn deliver(crowd: &mut Crowd) -> Duration {
    let Crowd {
        world,
        room,
        members,
        requests,
    } = crowd;
    world.hold();
    world
        .message(
            *room,
            &members[0],
            "a message of an ordinary length, as people write them",
        )
        .await;
    let frames = world.release();
    let begun = Instant::now();
    let mut waiting: Vec<Waiting<'_>> = members
        .iter()
        .zip(requests.iter())
        .map(|(member, request)| Box::pin(sync(&world.ctx, member, request.clone())) as Waiting<'_>)
        .collect();
    for sync in &mut waiting {
        assert!(poll!(sync).is_pending());
    }
    for frame in &frames {
        world.ctx.replica.receive(frame);
    }
    let answers = join_all(waiting).await;
    let elapsed = begun.elapsed();
    for (request, answer) in requests.iter_mut().zip(answers) {
        let answer: serde_json::Value = serde_json::from_slice(&answer.expect("an answer").0).expect("JSON");
        assert_eq!(world::told(&answer["rooms"]["join"][world.room_id(*room)]).len(), 1);
        request.since = since(&answer).since;
    }
    elapsed
}

fn fan_out(c: &mut Criterion, runtime: &Runtime) {
    let mut crowd = runtime.block_on(crowd());
    c.bench_function("one message to 100 waiting members", |b| {
        b.iter_custom(|times| {
            runtime.block_on(async {
                let mut elapsed = Duration::ZERO;
                for _ in 0..times {
                    elapsed += deliver(&mut crowd).await;
                }
                elapsed
            })
        });
    });
}

fn initial(c: &mut Criterion, runtime: &Runtime) {
    let (world, user) = runtime.block_on(async {
        let mut world = World::new().await;
        let user = world.user("alice").await;
        let mut others = Vec::new();
        for n in 0..10 {
            others.push(world.user(&format!("user{n}")).await);
        }
        for _ in 0..ROOMS {
            let room = world.room(&user).await;
            for other in &others {
                world.join(room, other).await;
            }
            for n in 0..30 {
                world
                    .message(room, &others[n % others.len()], "a message of an ordinary length")
                    .await;
            }
        }
        (world, user)
    });
    let lazy = filtered(
        &json!({"room": {"state": {"lazy_load_members": true}}}),
        SyncRequest::default(),
    );
    for (name, request) in [("lazy members", lazy), ("all members", SyncRequest::default())] {
        c.bench_function(&format!("initial sync of 20 rooms, {name}, in memory"), |b| {
            b.iter(|| {
                runtime
                    .block_on(sync(&world.ctx, &user, request.clone()))
                    .expect("an answer")
            });
        });
    }
    let last = runtime.block_on(world.sync(&user, SyncRequest::default()));
    c.bench_function("incremental sync with nothing new", |b| {
        b.iter(|| {
            runtime
                .block_on(sync(&world.ctx, &user, since(&last)))
                .expect("an answer")
        });
    });
}

fn syncs(c: &mut Criterion) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    fan_out(c, &runtime);
    initial(c, &runtime);
}

criterion_group!(benches, syncs);
criterion_main!(benches);

//! Creating rooms, and joining them.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::time::timeout;

use crate::{
    calls::{create_room, join_room},
    http::{Connection, LoadError},
    report::{Line, Window},
    workers::run_for,
    world::{User, World},
};

/// Rooms made ahead for the join scenario; with 20 users that is 19 joins each.
const MAX_ROOMS_TO_JOIN: usize = 1000;

type Worker = (Connection, Rc<User>);

/// Public rooms, each by one of the senders.
pub(crate) async fn create(world: &mut World) -> Result<Line, LoadError> {
    world.ensure_users(world.settings.users).await?;
    let operation = async |(connection, user): &mut Worker| Some(create_room(connection, user).await.map(|_room| ()));
    let window = Window::open(&world.settings);
    let samples = run_for(world.settings.seconds, workers(world), operation).await;
    Ok(window.close("create", format!("createRoom, {} users", world.settings.users), samples))
}

/// Senders join public rooms of the first sender, room after room; all may stand at the same room's door.
pub(crate) async fn join(world: &mut World) -> Result<Line, LoadError> {
    world.ensure_users(world.settings.users.max(2)).await?;
    let rooms = rooms_to_join(world).await?;
    eprintln!("made {} rooms to join", rooms.len());
    // Each worker joins every room once, and starts elsewhere, so that most joins at a moment are of different rooms.
    let workers: Vec<_> = workers(world).into_iter().skip(1).enumerate().collect();
    let step = rooms.len().div_ceil(workers.len().max(1));
    let workers: Vec<(Worker, usize, Cell<usize>)> = workers
        .into_iter()
        .map(|(n, worker)| (worker, n * step, Cell::new(0)))
        .collect();
    let operation = async |((connection, user), start, done): &mut (Worker, usize, Cell<usize>)| {
        let n = done.replace(done.get() + 1);
        if n >= rooms.len() {
            return None;
        }
        Some(join_room(connection, user, &rooms[(*start + n) % rooms.len()]).await)
    };
    let window = Window::open(&world.settings);
    let samples = run_for(world.settings.seconds, workers, operation).await;
    Ok(window.close(
        "join",
        format!("join of a public room, {} users", world.settings.users - 1),
        samples,
    ))
}

/// As many rooms as the first sender can make in the time one scenario gets.
async fn rooms_to_join(world: &World) -> Result<Vec<String>, LoadError> {
    let rooms = RefCell::new(Vec::new());
    let user = &world.users[0];
    let make = async {
        let mut connection = world.connection();
        while rooms.borrow().len() < MAX_ROOMS_TO_JOIN {
            let room = create_room(&mut connection, user).await?;
            rooms.borrow_mut().push(room);
        }
        Ok::<_, LoadError>(())
    };
    if let Ok(failed @ Err(_)) = timeout(Duration::from_secs_f64(world.settings.seconds), make).await {
        failed?;
    }
    Ok(rooms.into_inner())
}

fn workers(world: &World) -> Vec<Worker> {
    world
        .senders()
        .iter()
        .map(|user| (world.connection(), Rc::clone(user)))
        .collect()
}

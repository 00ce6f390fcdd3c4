//! Sending messages: 20 users in 10 rooms, 20 users in one room, one user alone.
//!
//! Every sender is a member of every room. A send counts when the server answered with an event id that nobody got
//! before; afterwards each sender's last message is fetched back.

use std::{cell::RefCell, collections::HashSet, rc::Rc};

use serde::Deserialize;

use crate::{
    calls::send_message,
    http::{Connection, LoadError, encode, parse},
    report::{Line, Samples, Window},
    workers::run_for,
    world::{User, World},
};

struct Sender {
    connection: Connection,
    user: Rc<User>,
    /// Counts up; its place in `rooms` is the next room to send into.
    turn: usize,
    /// This sender's place in the list of last messages.
    place: usize,
}

#[derive(Clone, Default)]
struct LastSent {
    room: String,
    event_id: String,
}

pub(crate) async fn many_rooms(world: &mut World) -> Result<Line, LoadError> {
    world.ensure_shared_rooms(world.settings.rooms).await?;
    let rooms = world.shared_rooms[..world.settings.rooms].to_vec();
    let words = format!(
        "send, {} users in turn in {} rooms of all of them",
        world.settings.users,
        rooms.len()
    );
    measure(world, "send_many_rooms", words, world.settings.users, rooms).await
}

pub(crate) async fn one_room(world: &mut World) -> Result<Line, LoadError> {
    world.ensure_shared_rooms(1).await?;
    let rooms = world.shared_rooms[..1].to_vec();
    let words = format!("send, {} users in one room", world.settings.users);
    measure(world, "send_one_room", words, world.settings.users, rooms).await
}

pub(crate) async fn one_sender(world: &mut World) -> Result<Line, LoadError> {
    world.ensure_shared_rooms(1).await?;
    let rooms = world.shared_rooms[..1].to_vec();
    let words = format!("send, one after another, in a room of {}", world.settings.users);
    measure(world, "send_one_sender", words, 1, rooms).await
}

async fn measure(
    world: &World,
    name: &'static str,
    words: String,
    senders: usize,
    rooms: Vec<String>,
) -> Result<Line, LoadError> {
    let workers: Vec<Sender> = world.senders()[..senders]
        .iter()
        .enumerate()
        .map(|(n, user)| Sender {
            connection: world.connection(),
            user: Rc::clone(user),
            turn: n,
            place: n,
        })
        .collect();
    let seen = RefCell::new(HashSet::new());
    let last = RefCell::new(vec![LastSent::default(); senders]);
    let operation = async |sender: &mut Sender| {
        let room = &rooms[sender.turn % rooms.len()];
        sender.turn += 1;
        let sent = send_message(&mut sender.connection, &sender.user, room, &world.name()).await;
        Some(sent.and_then(|event_id| {
            last.borrow_mut()[sender.place] = LastSent {
                room: room.clone(),
                event_id: event_id.clone(),
            };
            if seen.borrow_mut().insert(event_id) {
                return Ok(());
            }
            Err(LoadError::Wrong(
                "two sends were answered with the same event id".to_owned(),
            ))
        }))
    };
    let window = Window::open(&world.settings);
    let samples = run_for(world.settings.seconds, workers, operation).await;
    let mut line = window.close(name, words, samples);
    let mut checked = Samples::default();
    for (user, last) in world
        .senders()
        .iter()
        .zip(last.into_inner())
        .filter(|(_, last)| !last.room.is_empty())
    {
        if let Err(error) = fetch_back(&mut world.connection(), user, &last).await {
            checked.fail(&error);
        }
    }
    line.add_errors(checked);
    Ok(line)
}

/// The message can be read, and is the sender's.
async fn fetch_back(connection: &mut Connection, user: &User, last: &LastSent) -> Result<(), LoadError> {
    #[derive(Deserialize)]
    struct Event {
        event_id: String,
        sender: String,
    }
    let path = format!(
        "/_matrix/client/v3/rooms/{}/event/{}",
        encode(&last.room),
        encode(&last.event_id)
    );
    let answer = connection.get(&user.head, &path).await?;
    let Event { event_id, sender } = parse(&answer)?;
    if event_id != last.event_id || sender != user.id {
        return Err(LoadError::Wrong(format!(
            "fetched {event_id} of {sender} instead of {}",
            last.event_id
        )));
    }
    Ok(())
}

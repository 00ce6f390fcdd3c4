//! Initial sync of a user in 20 rooms with at least 100 messages each.

use std::rc::Rc;

use crate::{
    http::{Connection, LoadError},
    report::{Line, Window},
    scenario::READERS,
    sync::{SyncAnswer, TimelineEvent, sync_path, upload_filter},
    workers::run_for,
    world::{User, World},
};

const ROOMS: usize = 20;
const MESSAGES_PER_ROOM: usize = 100;
/// Timeline events asked for per room.
const TIMELINE_LIMIT: usize = 10;

struct Reader {
    connection: Connection,
    user: Rc<User>,
    filter: String,
}

pub(crate) async fn run(world: &mut World) -> Result<Line, LoadError> {
    world.ensure_shared_rooms(ROOMS).await?;
    let rooms = world.shared_rooms[..ROOMS].to_vec();
    world.fill_rooms(&rooms, MESSAGES_PER_ROOM).await?;
    let mut readers = Vec::with_capacity(READERS);
    for user in world.senders().iter().take(READERS) {
        let filter = upload_filter(&mut world.connection(), user, TIMELINE_LIMIT, None).await?;
        readers.push(Reader {
            connection: world.sync_connection(),
            user: Rc::clone(user),
            filter,
        });
    }
    let operation = async |reader: &mut Reader| Some(initial_sync(reader, &rooms, world.fresh_timeout_ms()).await);
    let window = Window::open(&world.settings);
    let samples = run_for(world.settings.seconds, readers, operation).await;
    let words = format!(
        "initial sync of {ROOMS} rooms with {MESSAGES_PER_ROOM} messages or more, {TIMELINE_LIMIT} events a room, \
         lazy members, {READERS} readers"
    );
    Ok(window.close("initial_sync", words, samples))
}

async fn initial_sync(reader: &mut Reader, rooms: &[String], timeout_ms: u64) -> Result<(), LoadError> {
    let path = sync_path(&reader.filter, None, timeout_ms);
    let body = reader.connection.get(&reader.user.head, &path).await?;
    let answer = SyncAnswer::parse(&body)?;
    let full = |room: &&String| {
        answer.timeline(room).is_some_and(|timeline| {
            timeline.limited
                && timeline.events.len() == TIMELINE_LIMIT
                && timeline.events.iter().all(TimelineEvent::is_message)
        })
    };
    let complete = rooms.iter().filter(full).count();
    if complete < rooms.len() {
        return Err(LoadError::Wrong(format!(
            "an initial sync had {complete} full rooms of {}",
            rooms.len()
        )));
    }
    Ok(())
}

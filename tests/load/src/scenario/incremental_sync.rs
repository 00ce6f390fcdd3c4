//! Incremental sync: what one message in each of 10 rooms costs a reader who was away for it.
//!
//! Every user asks again and again from the same token, so each operation does the same work.

use std::rc::Rc;

use crate::{
    calls::send_message,
    http::{Connection, LoadError},
    report::{Line, Window},
    sync::{SyncAnswer, sync_path, upload_filter},
    workers::run_for,
    world::{User, World},
};

const TIMELINE_LIMIT: usize = 20;

struct Reader {
    connection: Connection,
    user: Rc<User>,
    filter: String,
    since: String,
}

pub(crate) async fn run(world: &mut World) -> Result<Line, LoadError> {
    world.ensure_shared_rooms(world.settings.rooms).await?;
    let rooms = &world.shared_rooms[..world.settings.rooms];
    let mut readers = Vec::new();
    for user in world.senders() {
        let filter = upload_filter(&mut world.connection(), user, TIMELINE_LIMIT, None).await?;
        let mut connection = world.sync_connection();
        let body = connection
            .get(&user.head, &sync_path(&filter, None, world.fresh_timeout_ms()))
            .await?;
        let since = SyncAnswer::parse(&body)?.next_batch.into_owned();
        readers.push(Reader {
            connection,
            user: Rc::clone(user),
            filter,
            since,
        });
    }
    let mut sent = Vec::with_capacity(rooms.len());
    for room in rooms {
        let event_id = send_message(&mut world.connection(), &world.users[0], room, &world.name()).await?;
        sent.push((room.clone(), event_id));
    }
    let operation = async |reader: &mut Reader| Some(incremental_sync(reader, &sent, world.fresh_timeout_ms()).await);
    let window = Window::open(&world.settings);
    let samples = run_for(world.settings.seconds, readers, operation).await;
    let words = format!(
        "incremental sync with one message in each of {} rooms, {} users",
        rooms.len(),
        world.settings.users
    );
    Ok(window.close("incremental_sync", words, samples))
}

async fn incremental_sync(reader: &mut Reader, sent: &[(String, String)], timeout_ms: u64) -> Result<(), LoadError> {
    let path = sync_path(&reader.filter, Some(&reader.since), timeout_ms);
    let body = reader.connection.get(&reader.user.head, &path).await?;
    let answer = SyncAnswer::parse(&body)?;
    for (room, event_id) in sent {
        let found = answer.timeline(room).is_some_and(|timeline| {
            timeline.events.iter().filter(|event| event.is_message()).count() == 1
                && timeline.events.iter().any(|event| event.event_id == *event_id)
        });
        if !found {
            return Err(LoadError::Wrong(format!(
                "an incremental sync lacked {event_id} or had more than it"
            )));
        }
    }
    Ok(())
}

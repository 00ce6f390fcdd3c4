//! Back-pagination of a room of 1,000 messages, 100 events a page, from its end to its creation, again and again.

use std::{borrow::Cow, collections::HashSet, rc::Rc};

use serde::Deserialize;

use crate::{
    calls::{create_room, join_room},
    http::{Connection, LoadError, encode, parse},
    report::{Line, Window},
    scenario::READERS,
    sync::TimelineEvent,
    workers::run_for,
    world::{User, World},
};

const MESSAGES: usize = 1000;
const PAGE: usize = 100;
/// More pages than this for one walk is an error: the server does not come to an end.
const MAX_PAGES_PER_WALK: usize = 4 * MESSAGES / PAGE;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    chunk: Vec<TimelineEvent<'a>>,
    #[serde(borrow)]
    end: Option<Cow<'a, str>>,
}

#[derive(Default)]
struct Walk {
    from: Option<String>,
    pages: usize,
    messages: HashSet<String>,
    reached_creation: bool,
}

struct Reader {
    connection: Connection,
    user: Rc<User>,
    walk: Walk,
}

pub(crate) async fn run(world: &mut World) -> Result<Line, LoadError> {
    world.ensure_users(world.settings.users).await?;
    let mut connection = world.connection();
    let room = create_room(&mut connection, &world.users[0]).await?;
    for user in &world.senders()[1..] {
        join_room(&mut connection, user, &room).await?;
    }
    world.fill_rooms(std::slice::from_ref(&room), MESSAGES).await?;
    let readers = world.senders().iter().take(READERS);
    let readers: Vec<Reader> = readers
        .map(|user| Reader {
            connection: world.connection(),
            user: Rc::clone(user),
            walk: Walk::default(),
        })
        .collect();
    let operation = async |reader: &mut Reader| Some(turn_page(reader, &room).await);
    let window = Window::open(&world.settings);
    let samples = run_for(world.settings.seconds, readers, operation).await;
    let words = format!("one page of {PAGE} events back in a room of {MESSAGES} messages, {READERS} readers");
    Ok(window.close("messages", words, samples))
}

/// One page; a walk that ended without all messages and the creation is an error, and the next page begins a new one.
async fn turn_page(reader: &mut Reader, room: &str) -> Result<(), LoadError> {
    let mut path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit={PAGE}", encode(room));
    if let Some(from) = &reader.walk.from {
        path.push_str("&from=");
        path.push_str(&encode(from));
    }
    let body = match reader.connection.get(&reader.user.head, &path).await {
        Ok(body) => body,
        Err(error) => {
            reader.walk = Walk::default();
            return Err(error);
        }
    };
    let page: Page<'_> = parse(&body)?;
    let walk = &mut reader.walk;
    walk.pages += 1;
    walk.from = page.end.map(Cow::into_owned);
    for event in page.chunk {
        walk.reached_creation |= event.kind == "m.room.create";
        if event.is_message() && !walk.messages.insert(event.event_id.into_owned()) {
            return Err(LoadError::Wrong("a message came twice while paging back".to_owned()));
        }
    }
    if walk.from.is_some() && !walk.reached_creation && walk.pages < MAX_PAGES_PER_WALK {
        return Ok(());
    }
    let ended = std::mem::take(walk);
    if ended.messages.len() == MESSAGES && ended.reached_creation {
        return Ok(());
    }
    Err(LoadError::Wrong(format!(
        "paging back {} pages gave {} of {MESSAGES} messages, creation reached: {}",
        ended.pages,
        ended.messages.len(),
        ended.reached_creation
    )))
}

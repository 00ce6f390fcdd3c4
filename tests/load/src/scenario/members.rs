//! The members and the state of a room of 100 members.

use std::rc::Rc;

use serde::Deserialize;

use crate::{
    http::{Connection, LoadError, encode, parse},
    report::{Line, Window},
    scenario::READERS,
    workers::run_for,
    world::{User, World},
};

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    chunk: Vec<StateEvent<'a>>,
}

#[derive(Deserialize)]
struct StateEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: std::borrow::Cow<'a, str>,
}

pub(crate) async fn members(world: &mut World) -> Result<Line, LoadError> {
    measure(world, "members", |body| Ok(parse::<Members<'_>>(body)?.chunk.len())).await
}

pub(crate) async fn state(world: &mut World) -> Result<Line, LoadError> {
    let count = |body: &[u8]| {
        let events: Vec<StateEvent<'_>> = parse(body)?;
        Ok(events.iter().filter(|event| event.kind == "m.room.member").count())
    };
    measure(world, "state", count).await
}

/// Reads `/rooms/{room}/{endpoint}`; an answer counts if `count` finds every member in it.
async fn measure(
    world: &mut World,
    endpoint: &'static str,
    count: impl Fn(&[u8]) -> Result<usize, LoadError>,
) -> Result<Line, LoadError> {
    let room = world.ensure_big_room().await?;
    let wanted = world.settings.members;
    let path = format!("/_matrix/client/v3/rooms/{}/{endpoint}", encode(&room));
    let readers: Vec<(Connection, Rc<User>)> = world
        .users
        .iter()
        .take(READERS)
        .map(|user| (world.connection(), Rc::clone(user)))
        .collect();
    let operation = async |(connection, user): &mut (Connection, Rc<User>)| {
        let found = connection.get(&user.head, &path).await.and_then(|body| count(&body));
        Some(found.and_then(|found| {
            if found == wanted {
                return Ok(());
            }
            Err(LoadError::Wrong(format!(
                "{endpoint} had {found} members, not {wanted}"
            )))
        }))
    };
    let window = Window::open(&world.settings);
    let samples = run_for(world.settings.seconds, readers, operation).await;
    Ok(window.close(
        endpoint,
        format!("{endpoint} of a room of {wanted}, {READERS} readers"),
        samples,
    ))
}

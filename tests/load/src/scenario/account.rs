//! Register, login, whoami.

use std::{cell::RefCell, rc::Rc};

use serde::Deserialize;

use crate::{
    calls::log_in,
    http::{Connection, LoadError, parse},
    report::{Line, Window},
    workers::run_for,
    world::{User, World},
};

#[derive(Deserialize)]
struct Whoami {
    user_id: String,
}

/// New users, as fast as the server takes them; they stay in the world and later scenarios use them.
pub(crate) async fn register(world: &mut World) -> Result<Line, LoadError> {
    world.choose_registration().await?;
    let workers: Vec<Connection> = (0..world.settings.users).map(|_| world.connection()).collect();
    let made = RefCell::new(Vec::new());
    let operation = async |connection: &mut Connection| {
        let user = world.register(connection).await;
        Some(user.map(|user| made.borrow_mut().push(user)))
    };
    let window = Window::open(&world.settings);
    let samples = run_for(world.settings.seconds, workers, operation).await;
    let line = window.close(
        "register",
        format!("register, {} connections", world.settings.users),
        samples,
    );
    world.users.extend(made.into_inner());
    Ok(line)
}

/// Password logins, each on a new device.
pub(crate) async fn login(world: &mut World) -> Result<Line, LoadError> {
    world.ensure_users(world.settings.users).await?;
    let operation = async |(connection, user): &mut (Connection, Rc<User>)| Some(log_in(connection, user).await);
    let window = Window::open(&world.settings);
    let samples = run_for(world.settings.seconds, senders(world), operation).await;
    Ok(window.close(
        "login",
        format!("password login, {} users", world.settings.users),
        samples,
    ))
}

pub(crate) async fn whoami(world: &mut World) -> Result<Line, LoadError> {
    world.ensure_users(world.settings.users).await?;
    let operation = async |(connection, user): &mut (Connection, Rc<User>)| Some(ask(connection, user).await);
    let window = Window::open(&world.settings);
    let samples = run_for(world.settings.seconds, senders(world), operation).await;
    Ok(window.close("whoami", format!("whoami, {} users", world.settings.users), samples))
}

async fn ask(connection: &mut Connection, user: &User) -> Result<(), LoadError> {
    let answer = connection.get(&user.head, "/_matrix/client/v3/account/whoami").await?;
    let Whoami { user_id } = parse(&answer)?;
    if user_id != user.id {
        return Err(LoadError::Wrong(format!("whoami of {} answered {user_id}", user.id)));
    }
    Ok(())
}

fn senders(world: &World) -> Vec<(Connection, Rc<User>)> {
    world
        .senders()
        .iter()
        .map(|user| (world.connection(), Rc::clone(user)))
        .collect()
}

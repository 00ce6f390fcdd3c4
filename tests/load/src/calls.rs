//! The requests that more than one scenario makes, each of which checks that its answer makes sense.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::Sha1;

use crate::{
    http::{Connection, Head, LoadError, encode, parse},
    world::User,
};

/// Everybody's password.
const PASSWORD: &str = "load generator secret 7";

#[derive(Deserialize)]
struct Registered {
    user_id: String,
    access_token: String,
}

impl TryFrom<Registered> for User {
    type Error = LoadError;

    fn try_from(answer: Registered) -> Result<Self, LoadError> {
        Ok(Self {
            head: Head::bearer(&answer.access_token)?,
            id: answer.user_id,
        })
    }
}

#[derive(Deserialize)]
struct Nonce {
    nonce: String,
}

#[derive(Deserialize)]
struct RoomCreated {
    room_id: String,
}

#[derive(Deserialize)]
struct EventSent {
    event_id: String,
}

/// Registers with `m.login.dummy`, in one request.
pub(crate) async fn register_by_dummy(connection: &mut Connection, name: &str) -> Result<User, LoadError> {
    let body = json!({ "auth": { "type": "m.login.dummy" }, "username": name, "password": PASSWORD }).to_string();
    let answer = connection
        .post(&Head::anonymous(), "/_matrix/client/v3/register", body)
        .await?;
    parse::<Registered>(&answer)?.try_into()
}

/// Registers as a guest.
pub(crate) async fn register_guest(connection: &mut Connection) -> Result<User, LoadError> {
    let path = "/_matrix/client/v3/register?kind=guest";
    let answer = connection.post(&Head::anonymous(), path, "{}".to_owned()).await?;
    parse::<Registered>(&answer)?.try_into()
}

/// Registers with the shared secret of the server.
pub(crate) async fn register_by_secret(
    connection: &mut Connection,
    name: &str,
    secret: &str,
) -> Result<User, LoadError> {
    let path = "/_synapse/admin/v1/register";
    let answer = connection.get(&Head::anonymous(), path).await?;
    let Nonce { nonce } = parse(&answer)?;
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes())
        .map_err(|_| LoadError::Wrong("the shared secret is not usable as a key".to_owned()))?;
    mac.update(format!("{nonce}\0{name}\0{PASSWORD}\0notadmin").as_bytes());
    let mac = mac
        .finalize()
        .into_bytes()
        .iter()
        .fold(String::with_capacity(40), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
            text
        });
    let body = json!({ "nonce": nonce, "username": name, "password": PASSWORD, "admin": false, "mac": mac });
    let answer = connection.post(&Head::anonymous(), path, body.to_string()).await?;
    parse::<Registered>(&answer)?.try_into()
}

/// Logs `user` in again with the password, on a new device.
pub(crate) async fn log_in(connection: &mut Connection, user: &User) -> Result<(), LoadError> {
    let body = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user.id },
        "password": PASSWORD,
    });
    let answer = connection
        .post(&Head::anonymous(), "/_matrix/client/v3/login", body.to_string())
        .await?;
    let Registered { user_id, access_token } = parse(&answer)?;
    if user_id != user.id || access_token.is_empty() {
        return Err(LoadError::Wrong(format!(
            "a login of {} answered as {user_id}",
            user.id
        )));
    }
    Ok(())
}

/// Creates a public room and returns its id.
pub(crate) async fn create_room(connection: &mut Connection, user: &User) -> Result<String, LoadError> {
    create(connection, user, &json!({ "preset": "public_chat", "name": "load" })).await
}

/// The same, for guests too.
pub(crate) async fn create_room_for_all(connection: &mut Connection, user: &User) -> Result<String, LoadError> {
    let access = json!({ "type": "m.room.guest_access", "state_key": "", "content": { "guest_access": "can_join" } });
    let body = json!({ "preset": "public_chat", "name": "load", "initial_state": [access] });
    create(connection, user, &body).await
}

async fn create(connection: &mut Connection, user: &User, body: &Value) -> Result<String, LoadError> {
    let path = "/_matrix/client/v3/createRoom";
    let answer = connection.post(&user.head, path, body.to_string()).await?;
    let RoomCreated { room_id } = parse(&answer)?;
    if !room_id.starts_with('!') {
        return Err(LoadError::Wrong(format!("createRoom answered the room id {room_id:?}")));
    }
    Ok(room_id)
}

pub(crate) async fn join_room(connection: &mut Connection, user: &User, room: &str) -> Result<(), LoadError> {
    let path = format!("/_matrix/client/v3/rooms/{}/join", encode(room));
    join_at(connection, user, room, &path).await
}

/// The same by a server that is in the room.
pub(crate) async fn join_room_via(
    connection: &mut Connection,
    user: &User,
    room: &str,
    server: &str,
) -> Result<(), LoadError> {
    let path = format!(
        "/_matrix/client/v3/join/{}?via={1}&server_name={1}",
        encode(room),
        encode(server)
    );
    join_at(connection, user, room, &path).await
}

async fn join_at(connection: &mut Connection, user: &User, room: &str, path: &str) -> Result<(), LoadError> {
    let answer = connection.post(&user.head, path, "{}".to_owned()).await?;
    let RoomCreated { room_id } = parse(&answer)?;
    if room_id != room {
        return Err(LoadError::Wrong(format!("a join of {room} answered {room_id}")));
    }
    Ok(())
}

/// Sends one text message and returns its event id.
pub(crate) async fn send_message(
    connection: &mut Connection,
    user: &User,
    room: &str,
    transaction: &str,
) -> Result<String, LoadError> {
    let path = format!(
        "/_matrix/client/v3/rooms/{}/send/m.room.message/{transaction}",
        encode(room)
    );
    let body = format!(r#"{{"msgtype":"m.text","body":"A message of about the usual length, {transaction}"}}"#);
    let answer = connection.put(&user.head, &path, body).await?;
    let EventSent { event_id } = parse(&answer)?;
    if !event_id.starts_with('$') {
        return Err(LoadError::Wrong(format!("a send answered the event id {event_id:?}")));
    }
    Ok(event_id)
}

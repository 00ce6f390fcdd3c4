//! The users, rooms and messages the scenarios work on: made once, through the client API, and reused by every scenario.

use std::{
    cell::Cell,
    hash::{BuildHasher, Hasher, RandomState},
    rc::Rc,
};

use futures_util::future::join_all;

use crate::{
    calls::{
        create_room, create_room_for_all, join_room, join_room_via, register_by_dummy, register_by_secret,
        register_guest, send_message,
    },
    http::{Connection, Head, LoadError, Target},
};

/// Requests in flight while the world is being made.
const SETUP_WORKERS: usize = 8;

/// What the command line decided.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) users: usize,
    pub(crate) rooms: usize,
    pub(crate) members: usize,
    pub(crate) crowd: usize,
    pub(crate) seconds: f64,
    pub(crate) pids: Vec<u32>,
    /// Folders whose growth is measured.
    pub(crate) disk: Vec<String>,
    pub(crate) shared_secret: Option<String>,
}

/// One registered user.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) head: Head,
}

/// How this server lets us register.
#[derive(Clone, Debug)]
pub(crate) enum Registration {
    Unknown,
    /// `m.login.dummy`, in one request.
    Dummy,
    /// The shared-secret admin endpoint.
    SharedSecret(String),
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) target: Rc<Target>,
    pub(crate) sync_target: Rc<Target>,
    /// The server on the other side.
    pub(crate) peer: Option<Rc<Target>>,
    /// All users registered so far, the first `settings.users` of them being the senders.
    pub(crate) users: Vec<Rc<User>>,
    /// Rooms that every sender has joined.
    pub(crate) shared_rooms: Vec<String>,
    /// The room of `settings.members` members, once made.
    pub(crate) big_room: Option<String>,
    registration: Registration,
    run: String,
    next_name: Cell<u64>,
}

impl World {
    pub(crate) fn new(settings: Settings, target: Target, sync_target: Target) -> Self {
        // Names of one run never meet those of another on the same server.
        let run = format!("{:08x}", RandomState::new().build_hasher().finish() >> 32);
        Self {
            settings,
            target: Rc::new(target),
            sync_target: Rc::new(sync_target),
            peer: None,
            users: Vec::new(),
            shared_rooms: Vec::new(),
            big_room: None,
            registration: Registration::Unknown,
            run,
            next_name: Cell::new(0),
        }
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection::new(&self.target)
    }

    pub(crate) fn sync_connection(&self) -> Connection {
        Connection::new(&self.sync_target)
    }

    pub(crate) fn peer_connection(&self) -> Result<Connection, LoadError> {
        let peer = self.peer.as_ref();
        let peer = peer.ok_or_else(|| LoadError::Wrong("this scenario wants --peer-url".to_owned()))?;
        Ok(Connection::new(peer))
    }

    /// A name nobody has used: a localpart or a transaction id.
    pub(crate) fn name(&self) -> String {
        self.next_name.set(self.next_name.get() + 1);
        format!("load{}-{}", self.run, self.next_name.get())
    }

    /// A sync timeout nobody asked for before. Some servers keep the answer to a sync for minutes and give it to
    /// an equal request; the timeout makes ours unequal, and does not matter where something is to be told at once.
    pub(crate) fn fresh_timeout_ms(&self) -> u64 {
        self.next_name.set(self.next_name.get() + 1);
        self.next_name.get()
    }

    /// The senders.
    pub(crate) fn senders(&self) -> &[Rc<User>] {
        &self.users[..self.settings.users.min(self.users.len())]
    }

    /// Registers one user in the way this server accepts.
    pub(crate) async fn register(&self, connection: &mut Connection) -> Result<Rc<User>, LoadError> {
        let name = self.name();
        let user = match &self.registration {
            Registration::SharedSecret(secret) => register_by_secret(connection, &name, secret).await?,
            Registration::Dummy | Registration::Unknown => register_by_dummy(connection, &name).await?,
        };
        Ok(Rc::new(user))
    }

    /// Finds out, with one user, how this server lets us register.
    pub(crate) async fn choose_registration(&mut self) -> Result<(), LoadError> {
        if !matches!(self.registration, Registration::Unknown) {
            return Ok(());
        }
        let mut connection = self.connection();
        let refused = match self.register(&mut connection).await {
            Ok(user) => {
                self.users.push(user);
                self.registration = Registration::Dummy;
                return Ok(());
            }
            Err(error) => error,
        };
        let Some(secret) = self.settings.shared_secret.clone() else {
            return Err(refused);
        };
        self.registration = Registration::SharedSecret(secret);
        let user = self.register(&mut connection).await?;
        self.users.push(user);
        Ok(())
    }

    /// Registers users until there are `wanted`.
    pub(crate) async fn ensure_users(&mut self, wanted: usize) -> Result<(), LoadError> {
        self.choose_registration().await?;
        let missing = wanted.saturating_sub(self.users.len());
        if missing > 0 {
            eprintln!("registering {missing} users");
        }
        let jobs: Vec<usize> = (0..missing).collect();
        let register = async |connection: &mut Connection, _job| self.register(connection).await;
        let made = in_parallel(jobs, register, || self.connection()).await?;
        self.users.extend(made);
        Ok(())
    }

    /// Makes rooms that every sender has joined, until there are `wanted`.
    pub(crate) async fn ensure_shared_rooms(&mut self, wanted: usize) -> Result<(), LoadError> {
        self.ensure_users(self.settings.users).await?;
        let missing = wanted.saturating_sub(self.shared_rooms.len());
        if missing == 0 {
            return Ok(());
        }
        eprintln!("making {missing} rooms of {} members", self.settings.users);
        let mut rooms = Vec::with_capacity(missing);
        for _ in 0..missing {
            rooms.push(create_room(&mut self.connection(), &self.users[0]).await?);
        }
        // Room by room: one room's joins are serial in most servers, different rooms' are not.
        let jobs = self
            .senders()
            .iter()
            .skip(1)
            .flat_map(|user| rooms.iter().map(move |room| (Rc::clone(user), room)));
        let join = async |connection: &mut Connection, (user, room): (Rc<User>, &String)| {
            join_room(connection, &user, room).await
        };
        in_parallel(jobs.collect(), join, || self.connection()).await?;
        self.shared_rooms.extend(rooms);
        Ok(())
    }

    /// The room of `settings.members` members.
    pub(crate) async fn ensure_big_room(&mut self) -> Result<String, LoadError> {
        if let Some(room) = &self.big_room {
            return Ok(room.clone());
        }
        self.ensure_users(self.settings.members).await?;
        eprintln!("making a room of {} members", self.settings.members);
        let room = create_room(&mut self.connection(), &self.users[0]).await?;
        let jobs: Vec<Rc<User>> = self.users[1..self.settings.members].to_vec();
        let join = async |connection: &mut Connection, user: Rc<User>| join_room(connection, &user, &room).await;
        in_parallel(jobs, join, || self.connection()).await?;
        self.big_room = Some(room.clone());
        Ok(room)
    }

    /// A room of the first user and one user of the server on the other side, who is given with it.
    pub(crate) async fn ensure_room_across(&mut self) -> Result<(String, Vec<Rc<User>>), LoadError> {
        self.ensure_users(1).await?;
        let room = create_room(&mut self.connection(), &self.users[0]).await?;
        let mut peer = self.peer_connection()?;
        let user = register_by_dummy(&mut peer, &self.name()).await?;
        let (_, server) = self.users[0].id.split_once(':').unwrap_or_default();
        join_room_via(&mut peer, &user, &room, server).await?;
        Ok((room, vec![Rc::new(user)]))
    }

    /// A room of `settings.crowd` members: the first user, and guests, who cost no password.
    pub(crate) async fn make_crowded_room(&mut self) -> Result<String, LoadError> {
        self.ensure_users(1).await?;
        let members = self.settings.crowd;
        eprintln!("making a room of {members} members");
        let room = create_room_for_all(&mut self.connection(), &self.users[0]).await?;
        let come = async |connection: &mut Connection, _job| {
            let guest = register_guest(connection).await?;
            join_room(connection, &guest, &room).await
        };
        in_parallel((1..members).collect(), come, || self.connection()).await?;
        Ok(room)
    }

    /// Sends `count` messages into each of `rooms`, by the senders in turn.
    pub(crate) async fn fill_rooms(&self, rooms: &[String], count: usize) -> Result<(), LoadError> {
        eprintln!("sending {} messages into {} rooms", rooms.len() * count, rooms.len());
        let senders = self.senders();
        let jobs = (0..rooms.len() * count).map(|n| (&senders[n % senders.len()], &rooms[n % rooms.len()]));
        let send = async |connection: &mut Connection, (user, room): (&Rc<User>, &String)| {
            send_message(connection, user, room, &self.name()).await
        };
        in_parallel(jobs.collect(), send, || self.connection()).await?;
        Ok(())
    }
}

/// Runs `work` on every job over `SETUP_WORKERS` connections; the first failure ends it.
async fn in_parallel<J, T>(
    jobs: Vec<J>,
    work: impl AsyncFn(&mut Connection, J) -> Result<T, LoadError>,
    connect: impl Fn() -> Connection,
) -> Result<Vec<T>, LoadError> {
    let queue = std::cell::RefCell::new(jobs.into_iter());
    let workers = (0..SETUP_WORKERS).map(async |_| {
        let mut connection = connect();
        let mut done = Vec::new();
        loop {
            let job = queue.borrow_mut().next();
            let Some(job) = job else {
                return Ok::<_, LoadError>(done);
            };
            done.push(work(&mut connection, job).await?);
        }
    });
    let parts: Vec<Vec<T>> = join_all(workers).await.into_iter().collect::<Result<_, _>>()?;
    Ok(parts.into_iter().flatten().collect())
}

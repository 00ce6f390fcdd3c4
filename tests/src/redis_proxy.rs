//! A TCP proxy in front of Redis that can fail in the ways a network does.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::JoinSet,
};

use crate::redis::{frame_length, is_message};

/// What happens to published messages on their way to subscribers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mischief {
    /// Whether the connection is cut: open ones are closed, and new ones too.
    pub cut: bool,
    /// How long each message is held up, and everything behind it.
    pub delay: Duration,
    /// Every how many-th message is lost; 0 for none.
    pub lose_every: u64,
}

/// The proxy. It serves as long as it is not dropped.
#[derive(Debug)]
pub struct RedisProxy {
    mischief: watch::Sender<Mischief>,
    _serving: JoinSet<()>,
}

impl RedisProxy {
    /// Listens on a port of this machine, in front of a Unix socket.
    pub(crate) async fn start(port: u16, redis: PathBuf) -> Self {
        let (mischief, seen) = watch::channel(Mischief::default());
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port was free");
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, redis, seen));
        Self {
            mischief,
            _serving: serving,
        }
    }

    /// Changes what happens to messages from now on.
    pub fn set(&self, mischief: Mischief) {
        self.mischief.send_replace(mischief);
    }

    /// Closes every connection and refuses new ones.
    pub fn cut(&self) {
        self.set(Mischief {
            cut: true,
            ..Mischief::default()
        });
    }

    /// Lets everything through again.
    pub fn restore(&self) {
        self.set(Mischief::default());
    }
}

async fn accept(listener: TcpListener, redis: PathBuf, mischief: watch::Receiver<Mischief>) {
    let messages = Arc::new(AtomicU64::new(0));
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        if mischief.borrow().cut {
            continue;
        }
        while connections.try_join_next().is_some() {}
        let (redis, messages, mut mischief) = (redis.clone(), Arc::clone(&messages), mischief.clone());
        connections.spawn(async move {
            let passing = pass(client, redis, mischief.clone(), &messages);
            tokio::select! {
                result = passing => drop(result),
                _cut = mischief.wait_for(|mischief| mischief.cut) => {}
            }
        });
    }
}

async fn pass(
    client: TcpStream,
    redis: PathBuf,
    mischief: watch::Receiver<Mischief>,
    messages: &AtomicU64,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let redis = UnixStream::connect(redis).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_redis, mut to_redis) = redis.into_split();
    let upwards = async move { copy(&mut from_client, &mut to_redis).await.map(drop) };
    let downwards = async move {
        let mut held = Vec::new();
        while from_redis.read_buf(&mut held).await? > 0 {
            while let Some(length) = frame_length(&held) {
                let frame: Vec<u8> = held.drain(..length).collect();
                if is_message(&frame) {
                    let Mischief { delay, lose_every, .. } = *mischief.borrow();
                    let count = messages.fetch_add(1, Ordering::Relaxed) + 1;
                    if lose_every > 0 && count.is_multiple_of(lose_every) {
                        continue;
                    }
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
                    }
                }
                to_client.write_all(&frame).await?;
            }
        }
        Ok(())
    };
    tokio::select! {
        result = upwards => result,
        result = downwards => result,
    }
}

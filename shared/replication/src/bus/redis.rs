//! Frames over Redis pub/sub.

use std::{sync::Arc, time::Duration};

use ::metrics::counter;
use bytes::Bytes;
use futures_util::StreamExt;
use redis::{Client, RedisError, aio::MultiplexedConnection};
use tokio::time::{Instant, timeout};

use super::BusError;
use crate::metrics;

/// Pause before connecting again; doubles up to the other.
const RECONNECT_MIN: Duration = Duration::from_millis(50);
/// Longest pause between two tries.
const RECONNECT_MAX: Duration = Duration::from_secs(1);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long one publishing may take before the connection counts as broken.
const PUBLISH_TIMEOUT: Duration = Duration::from_millis(500);
/// Silence after which a subscription is made anew: the other side may have gone without a word.
const SUBSCRIPTION_SILENCE_MAX: Duration = Duration::from_secs(3);

/// A channel of a Redis server.
#[derive(Clone, Debug)]
pub struct RedisBus {
    client: Client,
    channel: Arc<str>,
}

impl RedisBus {
    pub(super) fn new(url: &str, server_name: &str) -> Result<Self, BusError> {
        Ok(Self {
            client: Client::open(url)?,
            channel: format!("plexus:{server_name}:log").into(),
        })
    }

    pub(super) fn outlet(&self) -> RedisOutlet {
        RedisOutlet {
            bus: self.clone(),
            connection: None,
            next_try: Instant::now(),
            pause: RECONNECT_MIN,
        }
    }

    /// Gives every message to `receive`, over as many connections as it takes.
    pub(super) async fn listen(&self, receive: impl Fn(Bytes)) {
        let mut pause = RECONNECT_MIN;
        loop {
            match self.listen_once(&receive).await {
                Ok(true) => pause = RECONNECT_MIN,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "cannot subscribe at redis"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RECONNECT_MAX);
        }
    }

    /// Whether anything was heard before the connection ended.
    async fn listen_once(&self, receive: &impl Fn(Bytes)) -> Result<bool, RedisError> {
        let subscribing = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.subscribe(&*self.channel).await?;
            Ok::<_, RedisError>(subscription)
        };
        let mut subscription = timeout(CONNECT_TIMEOUT, subscribing)
            .await
            .unwrap_or_else(|_| Err(timed_out()))?;
        let mut messages = subscription.on_message();
        let mut heard = false;
        while let Ok(Some(message)) = timeout(SUBSCRIPTION_SILENCE_MAX, messages.next()).await {
            heard = true;
            receive(Bytes::copy_from_slice(message.get_payload_bytes()));
        }
        Ok(heard)
    }
}

/// The publishing end.
#[derive(Debug)]
pub(super) struct RedisOutlet {
    bus: RedisBus,
    connection: Option<MultiplexedConnection>,
    /// Not before then: connecting takes time, in which frames wait.
    next_try: Instant,
    pause: Duration,
}

impl RedisOutlet {
    /// Publishes frames in one round trip, or drops them.
    pub(super) async fn publish(&mut self, frames: Vec<Bytes>) {
        let count = frames.len() as u64;
        match self.try_publish(frames).await {
            Ok(true) => self.pause = RECONNECT_MIN,
            Ok(false) => counter!(metrics::BUS_DROPPED).increment(count),
            Err(error) => {
                tracing::warn!(%error, "cannot publish at redis");
                counter!(metrics::BUS_DROPPED).increment(count);
                self.connection = None;
                self.next_try = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(RECONNECT_MAX);
            }
        }
    }

    /// Whether it was time to try.
    async fn try_publish(&mut self, frames: Vec<Bytes>) -> Result<bool, RedisError> {
        if self.connection.is_none() {
            if Instant::now() < self.next_try {
                return Ok(false);
            }
            let connecting = self.bus.client.get_multiplexed_async_connection();
            self.connection = Some(
                timeout(CONNECT_TIMEOUT, connecting)
                    .await
                    .unwrap_or_else(|_| Err(timed_out()))?,
            );
        }
        let Some(connection) = &mut self.connection else {
            return Ok(false);
        };
        let mut pipe = redis::pipe();
        for frame in &frames {
            pipe.cmd("PUBLISH").arg(&*self.bus.channel).arg(&frame[..]).ignore();
        }
        timeout(PUBLISH_TIMEOUT, pipe.query_async::<()>(connection))
            .await
            .unwrap_or_else(|_| Err(timed_out()))?;
        Ok(true)
    }
}

fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

//! How frames come to the other processes: a lossy, ordered hint.
//!
//! Nothing depends on a frame arriving. Whoever hears nothing for two heartbeats takes frames from the master's `Subscribe` until the bus is heard again.

use std::{sync::Arc, time::Duration};

use ::metrics::gauge;
use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    link::Link,
    master_client::{MasterTarget, changed},
    metrics,
    publisher::HEARTBEAT_EVERY,
    tasks::Tasks,
};

mod redis;
#[cfg(test)]
mod tests;

pub use self::redis::RedisBus;
use self::redis::RedisOutlet;

/// Silence after which the bus counts as away: two heartbeats missed, and half of one for being late.
const SILENCE_MAX: Duration = HEARTBEAT_EVERY
    .saturating_mul(5)
    .checked_div(2)
    .expect("two is not zero");
/// Pause before another `Subscribe`.
const SUBSCRIBE_PAUSE: Duration = Duration::from_millis(200);

/// How this deployment's processes hear of frames.
#[derive(Clone, Debug)]
pub enum Bus {
    /// Nothing between processes: the publisher gives frames to its own process, others subscribe at the master.
    Local,
    /// Redis pub/sub.
    Redis(RedisBus),
}

/// The bus cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("redis.url is not valid: {0}")]
pub struct BusError(#[from] ::redis::RedisError);

impl Bus {
    /// Redis pub/sub on a channel of this server's own. Does not connect yet.
    pub fn redis(url: &str, server_name: &str) -> Result<Self, BusError> {
        Ok(Self::Redis(RedisBus::new(url, server_name)?))
    }

    /// The publishing end, if somebody is there to publish to.
    pub(crate) fn outlet(&self) -> Option<Outlet> {
        match self {
            Self::Local => None,
            Self::Redis(bus) => Some(Outlet(bus.outlet())),
        }
    }

    /// Feeds `link` with what other processes publish.
    pub(crate) fn listen(&self, link: &Arc<Link>, tasks: &Tasks) {
        let (heard, hearing) = watch::channel(None);
        match self {
            Self::Local => drop(heard),
            Self::Redis(bus) => {
                let (bus, link) = (bus.clone(), Arc::clone(link));
                tasks.spawn(async move {
                    bus.listen(move |encoded| {
                        if link.offer(encoded) {
                            heard.send_replace(Some(Instant::now()));
                        }
                    })
                    .await;
                });
            }
        }
        tasks.spawn(stand_in(Arc::clone(link), hearing));
    }
}

/// The publishing end of a bus.
#[derive(Debug)]
pub(crate) struct Outlet(RedisOutlet);

impl Outlet {
    /// Publishes frames in order, or drops them if that cannot be done now.
    pub(crate) async fn publish(&mut self, frames: Vec<Bytes>) {
        if !frames.is_empty() {
            self.0.publish(frames).await;
        }
    }
}

/// Takes frames from the master whenever the bus is silent and the master is in another process.
async fn stand_in(link: Arc<Link>, mut hearing: watch::Receiver<Option<Instant>>) {
    let mut target = link.master.target();
    let started = Instant::now();
    loop {
        let leader = target.borrow_and_update().clone();
        let heard = *hearing.borrow_and_update();
        let silent_from = heard.unwrap_or(started) + SILENCE_MAX;
        let bus_exists = hearing.has_changed().is_ok();
        gauge!(metrics::BUS_UP).set(if bus_exists && silent_from > Instant::now() {
            1.0
        } else {
            0.0
        });
        if !matches!(leader, MasterTarget::At(_)) {
            // The leader's own process needs no bus, and nobody sends without a leader.
            changed(&mut target).await;
        } else if bus_exists && silent_from > Instant::now() {
            tokio::select! {
                () = changed(&mut target) => {}
                () = sleep_until(silent_from) => {}
            }
        } else {
            tokio::select! {
                () = changed(&mut target) => {}
                () = heard_again(&mut hearing) => {}
                () = subscribe(&link, &leader) => sleep(SUBSCRIBE_PAUSE).await,
            }
        }
    }
}

/// Returns once the bus is heard; never, if there is none.
async fn heard_again(hearing: &mut watch::Receiver<Option<Instant>>) {
    if hearing.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Receives what the master sends, until it stops.
async fn subscribe(link: &Link, leader: &MasterTarget) {
    let Some(mut client) = link.master.client(leader) else {
        return;
    };
    let request = link.master.request(plexus_proto::SubscribeRequest {});
    let mut frames = match client.subscribe(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => {
            tracing::debug!(grpc.code = ?status.code(), "the master takes no subscription now");
            return;
        }
    };
    tracing::info!("taking frames from the master while the bus is silent");
    loop {
        match frames.message().await {
            Ok(Some(frame)) => {
                link.offer_message(frame);
            }
            Ok(None) => return,
            Err(status) => {
                tracing::debug!(grpc.code = ?status.code(), "the subscription ended");
                return;
            }
        }
    }
}

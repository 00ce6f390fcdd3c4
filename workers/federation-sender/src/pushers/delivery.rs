//! Handing a notification to a gateway, however long it takes.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use metrics::counter;
use plexus_proto::{self as proto, command::Kind};
use plexus_service::{Ctx, ids::new_command};
use plexus_storage::pushers::PusherKey;
use rand::RngExt as _;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::SenderParts;

/// Notifications handed to gateways, by outcome.
const NOTIFICATIONS_TOTAL: &str = "plexus_push_notifications_total";
/// How long to wait after the first failure; twice as long after each further one.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Longest wait between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(3600);
/// A notification that could not be handed over for so long is of no use any more.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The gateway has it, or it is too old to be of use.
    Done,
    /// The pusher is no more, or is another now. If the gateway does not know the device any more, it has been removed here.
    Gone,
}

/// Hands a notification over, again and again until the gateway takes it.
pub(super) async fn deliver(parts: &SenderParts, key: &PusherKey, gateway: &Uri, body: Bytes) -> Outcome {
    let until = Instant::now() + GIVE_UP_AFTER;
    let mut wait = RETRY_FIRST;
    loop {
        let failure = match parts.outbound.post_json(gateway, body.clone()).await {
            Ok(answer) if answer.status.is_success() => {
                counter!(NOTIFICATIONS_TOTAL, "outcome" => "taken").increment(1);
                if rejects(&answer.body, &key.pushkey) && remove(&parts.ctx, key).await {
                    return Outcome::Gone;
                }
                return Outcome::Done;
            }
            Ok(answer) => format!("the gateway answers {}", answer.status),
            Err(error) => error.to_string(),
        };
        counter!(NOTIFICATIONS_TOTAL, "outcome" => "failed").increment(1);
        tracing::info!(
            failure,
            user = key.user.0,
            "a push gateway does not take a notification"
        );
        if Instant::now() + wait >= until {
            counter!(NOTIFICATIONS_TOTAL, "outcome" => "given_up").increment(1);
            return Outcome::Done;
        }
        sleep(jittered(wait)).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

/// Not all at the same moment, once a gateway is back.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// Whether the gateway says that it does not know the device.
fn rejects(answer: &[u8], pushkey: &str) -> bool {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let rejected = answer.get("rejected").and_then(Value::as_array);
    rejected.is_some_and(|keys| keys.iter().any(|key| key.as_str() == Some(pushkey)))
}

/// Whether the pusher could be removed. If not, the gateway will reject the next notification too.
async fn remove(ctx: &Ctx, key: &PusherKey) -> bool {
    let Ok(Some(user_id)) = ctx.store.user_id(key.user).await else {
        return false;
    };
    let command = proto::DeletePusher {
        user_id: user_id.to_string(),
        app_id: key.app_id.clone(),
        pushkey: key.pushkey.clone(),
    };
    let removed = ctx.replica.run(new_command(Kind::DeletePusher(command))).await;
    if let Err(error) = &removed {
        tracing::warn!(%error, "a pusher that its gateway rejects could not be removed");
    }
    removed.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_rejects_by_name() {
        assert!(rejects(br#"{"rejected": ["other", "mine"]}"#, "mine"));
        assert!(!rejects(br#"{"rejected": ["other"]}"#, "mine"));
        for answer in ["{}", "", "[]", r#"{"rejected": "mine"}"#] {
            assert!(!rejects(answer.as_bytes(), "mine"), "{answer}");
        }
    }
}

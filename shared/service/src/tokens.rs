//! Opening tokens: nobody who shows one is answered from before it.

use std::time::Duration;

use metrics::counter;
use plexus_core::token::{Placed, Unreached};
use tokio::time::Instant;

use crate::{Ctx, ServiceError};

/// Tokens that were ahead of the master itself and have been moved back.
pub const TOKENS_CLAMPED_TOTAL: &str = "plexus_tokens_clamped_total";

/// How long a process that is behind a token waits before it asks the master where the log ends.
const PATIENCE: Duration = Duration::from_millis(500);

/// The token, once this process has reached its place. A place after the end of the log, as the master confirms it, is moved back to that end.
pub async fn open<T: Placed>(ctx: &Ctx, token: Unreached<T>) -> Result<T, ServiceError> {
    let mut token = match token.reached_at(&ctx.replica.position()) {
        Ok(token) => return Ok(token),
        Err(token) => token,
    };
    if ctx
        .replica
        .reached(token.position(), Instant::now() + PATIENCE)
        .await
        .is_err()
    {
        let head = ctx.replica.head().await?;
        let shown = token.position().clone();
        if token.clamp_to(&head) {
            counter!(TOKENS_CLAMPED_TOTAL).increment(1);
            tracing::warn!(token.position = %shown, log.head = %head, "a token from after the end of the log was moved back");
        }
    }
    let reached = token.reached_at(&ctx.replica.position());
    reached.map_err(|_| ServiceError::Unavailable("this process is behind the token".to_owned()))
}

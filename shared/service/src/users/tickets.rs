//! What is given out to be shown again within a time, whichever process it is shown to.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{Ctx, ServiceError, ids::random_text};

/// Random characters of a ticket: 190 bits.
const TICKET_CHARS: usize = 32;

/// What a ticket is for. One of a kind is never good for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A session of interactive authentication.
    Interactive,
    /// A nonce of registration by shared secret.
    Nonce,
    /// A token that logs another client in.
    Login,
    /// A token that shows another service who a user is.
    OpenId,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Nonce => "nonce",
            Self::Login => "login",
            Self::OpenId => "openid",
        }
    }

    /// How long one is good.
    pub(super) const fn ttl_ms(self) -> i64 {
        match self {
            Self::Interactive => 15 * 60_000,
            Self::Nonce => 60_000,
            Self::Login => 2 * 60_000,
            Self::OpenId => 3_600_000,
        }
    }

    fn hash(self, shown: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.as_str());
        hash.update(b"\0");
        hash.update(shown);
        hash.finalize().into()
    }
}

/// A ticket as it was found.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) noted: T,
    stored: Bytes,
}

/// Gives a ticket out.
pub(super) async fn give(ctx: &Ctx, kind: Kind, noted: &impl Serialize) -> Result<String, ServiceError> {
    let shown = random_text(TICKET_CHARS);
    let body = serde_json::to_vec(noted).map_err(ServiceError::internal)?;
    let expires_ms = ctx.clock.now_ms().saturating_add(kind.ttl_ms());
    ctx.store.insert_ticket(&kind.hash(&shown), expires_ms, &body).await?;
    Ok(shown)
}

/// What was noted with a ticket.
pub(super) async fn find<T: DeserializeOwned>(
    ctx: &Ctx,
    kind: Kind,
    shown: &str,
) -> Result<Option<Found<T>>, ServiceError> {
    let Some(stored) = ctx.store.ticket(&kind.hash(shown), ctx.clock.now_ms()).await? else {
        return Ok(None);
    };
    let noted = serde_json::from_slice(&stored).map_err(ServiceError::internal)?;
    Ok(Some(Found { noted, stored }))
}

/// Notes something else with a ticket. A request that was faster makes this one fail.
pub(super) async fn renote<T: Serialize>(
    ctx: &Ctx,
    kind: Kind,
    shown: &str,
    found: &mut Found<T>,
) -> Result<(), ServiceError> {
    let body = serde_json::to_vec(&found.noted).map_err(ServiceError::internal)?;
    if body == found.stored || ctx.store.update_ticket(&kind.hash(shown), &found.stored, &body).await? {
        found.stored = body.into();
        return Ok(());
    }
    Err(ServiceError::Unavailable(
        "another request uses the same session".to_owned(),
    ))
}

/// What was noted with a ticket, which is used up now.
pub(super) async fn take<T: DeserializeOwned>(ctx: &Ctx, kind: Kind, shown: &str) -> Result<Option<T>, ServiceError> {
    let taken = ctx.store.take_ticket(&kind.hash(shown), ctx.clock.now_ms()).await?;
    let noted = taken.map(|body| serde_json::from_slice(&body)).transpose();
    noted.map_err(ServiceError::internal)
}

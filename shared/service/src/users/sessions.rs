//! Sessions: who an access token belongs to, and the end of it.

use plexus_proto::{self as proto, command::Kind};
use plexus_replication::MasterError;
use ruma::{DeviceId, OwnedDeviceId, UserId};

use crate::{
    Ctx, Requester, ServiceError,
    ids::{hash_access_token, new_access_token, new_command, new_refresh_token, random_text},
};

/// Characters of a device id that this server makes up.
const DEVICE_ID_CHARS: usize = 10;

/// Most bytes of a device id from a client.
pub const DEVICE_ID_BYTES_MAX: usize = 512;

/// Most bytes of a device's display name from a client.
pub const DEVICE_NAME_BYTES_MAX: usize = 1024;

/// A session that has been made, with the only copy of its tokens.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub device_id: OwnedDeviceId,
    pub tokens: NewTokens,
}

/// The only copy of new tokens.
#[derive(Clone, Debug)]
pub struct NewTokens {
    pub access_token: String,
    /// For a client that refreshes; its access token expires then.
    pub refresh: Option<RefreshBy>,
}

/// What gets the next access token, and when it has to.
#[derive(Clone, Debug)]
pub struct RefreshBy {
    pub refresh_token: String,
    pub expires_in_ms: i64,
}

/// What a client says about its session: all optional.
#[derive(Clone, Debug, Default)]
pub struct DeviceWish {
    pub device_id: Option<OwnedDeviceId>,
    pub display_name: Option<String>,
    /// It knows how to refresh, so that its access token may expire.
    pub refresh: bool,
}

/// What a request may do although the account is locked: end its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    Refused,
    Served,
}

/// Who uses an access token, if it is good for that.
pub async fn find_requester(ctx: &Ctx, token_hash: &[u8; 32], locked: Locked) -> Result<Requester, ServiceError> {
    let unknown = ServiceError::NoSession { soft_logout: false };
    let session = ctx.store.session(token_hash).await?.ok_or(unknown)?;
    if session.deactivated {
        return Err(ServiceError::NoSession { soft_logout: false });
    }
    if session.life.expires_ms.is_some_and(|end| end <= ctx.clock.now_ms()) {
        return Err(ServiceError::NoSession { soft_logout: true });
    }
    if session.standing.locked && locked == Locked::Refused {
        return Err(ServiceError::Locked);
    }
    if session.life.unconfirmed {
        let command = proto::ConfirmSession {
            user_id: session.user_id.to_string(),
            token_hash: token_hash.to_vec().into(),
        };
        ctx.replica.run(new_command(Kind::ConfirmSession(command))).await?;
    }
    Ok(Requester {
        user: session.user,
        user_id: session.user_id.clone(),
        device_id: session.device_id.clone(),
        admin: session.admin,
        guest: session.guest,
        suspended: session.standing.suspended,
    })
}

/// Makes up a session as the client wished, and what the master is to store of it.
pub(super) fn plan_session(ctx: &Ctx, wish: DeviceWish) -> Result<(NewSession, proto::Session), ServiceError> {
    let device_id = wish.device_id.filter(|id| !id.as_str().is_empty());
    let device_id = device_id.unwrap_or_else(|| random_text(DEVICE_ID_CHARS).to_ascii_uppercase().into());
    if device_id.as_str().len() > DEVICE_ID_BYTES_MAX {
        return Err(ServiceError::invalid_param("the device id is too long"));
    }
    // PostgreSQL stores no NUL in a text.
    if device_id.as_str().contains('\0') {
        return Err(ServiceError::invalid_param("a device's id has no NUL"));
    }
    check_device_name(wish.display_name.as_deref().unwrap_or_default())?;
    let (tokens, mut stored) = plan_tokens(ctx, &device_id, wish.refresh);
    stored.display_name = wish.display_name;
    Ok((NewSession { device_id, tokens }, stored))
}

/// Refuses a name for a device that cannot be stored, or not shown.
pub(super) fn check_device_name(name: &str) -> Result<(), ServiceError> {
    if name.len() > DEVICE_NAME_BYTES_MAX {
        return Err(ServiceError::invalid_param("the device's display name is too long"));
    }
    // PostgreSQL stores no NUL in a text.
    if name.contains('\0') {
        return Err(ServiceError::invalid_param("a device's name has no NUL"));
    }
    Ok(())
}

/// Makes up tokens for a device.
fn plan_tokens(ctx: &Ctx, device_id: &DeviceId, refresh: bool) -> (NewTokens, proto::Session) {
    let access_token = new_access_token();
    let expires_in_ms = ctx.config.accounts.access_token_ttl_ms;
    let refresh = refresh.then(|| RefreshBy {
        refresh_token: new_refresh_token(),
        expires_in_ms,
    });
    let hash = |token: &str| hash_access_token(token).to_vec().into();
    let stored = proto::Session {
        device_id: device_id.to_string(),
        display_name: None,
        token_hash: hash(&access_token),
        expires_ms: refresh
            .as_ref()
            .map(|_| ctx.clock.now_ms().saturating_add(expires_in_ms)),
        refresh_hash: refresh.as_ref().map(|refresh| hash(&refresh.refresh_token)),
    };
    (NewTokens { access_token, refresh }, stored)
}

/// New tokens for a refresh token. The one shown stays good until one of the new ones is used.
pub async fn refresh_session(ctx: &Ctx, refresh_token: &str) -> Result<NewTokens, ServiceError> {
    let unknown = || ServiceError::NoSession { soft_logout: true };
    let shown_hash = hash_access_token(refresh_token);
    let shown = ctx.store.refresh_token(&shown_hash).await?.ok_or_else(unknown)?;
    let user_id = ctx.store.user_id(shown.user).await?.ok_or_else(unknown)?;
    let account = ctx.store.account(shown.user).await?.ok_or_else(unknown)?;
    if account.standing.locked {
        return Err(ServiceError::Locked);
    }
    let (tokens, stored) = plan_tokens(ctx, &shown.device_id, true);
    let command = proto::RefreshSession {
        user_id: user_id.to_string(),
        shown_hash: shown_hash.to_vec().into(),
        session: Some(stored),
    };
    match ctx.replica.run(new_command(Kind::RefreshSession(command))).await {
        Ok(_) => Ok(tokens),
        Err(MasterError::Matrix { status: 401, .. }) => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}

/// Gives a user a new session, or a new token for a device he has.
pub(super) async fn create_session(ctx: &Ctx, user_id: &UserId, wish: DeviceWish) -> Result<NewSession, ServiceError> {
    let (session, stored) = plan_session(ctx, wish)?;
    let command = proto::CreateSession {
        user_id: user_id.to_string(),
        session: Some(stored),
    };
    ctx.replica.run(new_command(Kind::CreateSession(command))).await?;
    Ok(session)
}

/// Ends the requester's session and removes its device.
pub async fn log_out(ctx: &Ctx, requester: &Requester) -> Result<(), ServiceError> {
    delete_sessions(ctx, requester, vec![requester.device_id.to_string()]).await
}

/// Ends every session of the requester and removes all of his devices.
pub async fn log_out_everywhere(ctx: &Ctx, requester: &Requester) -> Result<(), ServiceError> {
    delete_sessions(ctx, requester, Vec::new()).await
}

/// Removes some of the requester's devices; all of them if none is named.
pub(super) async fn delete_sessions(
    ctx: &Ctx,
    requester: &Requester,
    device_ids: Vec<String>,
) -> Result<(), ServiceError> {
    let command = proto::DeleteSessions {
        user_id: requester.user_id.to_string(),
        device_id: None,
        device_ids,
    };
    ctx.replica.run(new_command(Kind::DeleteSessions(command))).await?;
    Ok(())
}

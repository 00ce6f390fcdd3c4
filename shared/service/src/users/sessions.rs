//! Sessions: who an access token belongs to, and the end of it.

use plexus_proto::{self as proto, command::Kind};
use ruma::{OwnedDeviceId, UserId};

use crate::{
    Ctx, Requester, ServiceError,
    ids::{hash_access_token, new_access_token, new_command, random_text},
};

/// Characters of a device id that this server makes up.
const DEVICE_ID_CHARS: usize = 10;

/// Most bytes of a device id from a client.
pub const DEVICE_ID_BYTES_MAX: usize = 512;

/// Most bytes of a device's display name from a client.
pub const DEVICE_NAME_BYTES_MAX: usize = 1024;

/// A session that has been made, with the only copy of its token.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub device_id: OwnedDeviceId,
    pub access_token: String,
}

/// What a client says about its session: both optional.
#[derive(Clone, Debug, Default)]
pub struct DeviceWish {
    pub device_id: Option<OwnedDeviceId>,
    pub display_name: Option<String>,
}

/// The session behind an access token's hash.
pub async fn find_requester(ctx: &Ctx, token_hash: &[u8; 32]) -> Result<Option<Requester>, ServiceError> {
    let session = ctx.store.session(token_hash).await?;
    Ok(session.filter(|session| !session.deactivated).map(|session| Requester {
        user: session.user,
        user_id: session.user_id.clone(),
        device_id: session.device_id.clone(),
        admin: session.admin,
        guest: session.guest,
        suspended: session.standing.suspended,
    }))
}

/// Makes up a session as the client wished, and what the master is to store of it.
pub(super) fn plan_session(wish: DeviceWish) -> Result<(NewSession, proto::Session), ServiceError> {
    let device_id = wish.device_id.filter(|id| !id.as_str().is_empty());
    let device_id = device_id.unwrap_or_else(|| random_text(DEVICE_ID_CHARS).to_ascii_uppercase().into());
    if device_id.as_str().len() > DEVICE_ID_BYTES_MAX {
        return Err(ServiceError::invalid_param("the device id is too long"));
    }
    let name = wish.display_name.as_deref().unwrap_or_default();
    if name.len() > DEVICE_NAME_BYTES_MAX {
        return Err(ServiceError::invalid_param("the device's display name is too long"));
    }
    // PostgreSQL stores no NUL in a text.
    if device_id.as_str().contains('\0') || name.contains('\0') {
        return Err(ServiceError::invalid_param("a device's id and name have no NUL"));
    }
    let access_token = new_access_token();
    let stored = proto::Session {
        device_id: device_id.to_string(),
        display_name: wish.display_name,
        token_hash: hash_access_token(&access_token).to_vec().into(),
        ..proto::Session::default()
    };
    Ok((
        NewSession {
            device_id,
            access_token,
        },
        stored,
    ))
}

/// Gives a user a new session, or a new token for a device he has.
pub(super) async fn create_session(ctx: &Ctx, user_id: &UserId, wish: DeviceWish) -> Result<NewSession, ServiceError> {
    let (session, stored) = plan_session(wish)?;
    let command = proto::CreateSession {
        user_id: user_id.to_string(),
        session: Some(stored),
    };
    ctx.replica.run(new_command(Kind::CreateSession(command))).await?;
    Ok(session)
}

/// Ends the requester's session and removes its device.
pub async fn log_out(ctx: &Ctx, requester: &Requester) -> Result<(), ServiceError> {
    delete_sessions(ctx, requester, Some(requester.device_id.to_string())).await
}

/// Ends every session of the requester and removes all of his devices.
pub async fn log_out_everywhere(ctx: &Ctx, requester: &Requester) -> Result<(), ServiceError> {
    delete_sessions(ctx, requester, None).await
}

async fn delete_sessions(ctx: &Ctx, requester: &Requester, device_id: Option<String>) -> Result<(), ServiceError> {
    let command = proto::DeleteSessions {
        user_id: requester.user_id.to_string(),
        device_id,
        ..proto::DeleteSessions::default()
    };
    ctx.replica.run(new_command(Kind::DeleteSessions(command))).await?;
    Ok(())
}

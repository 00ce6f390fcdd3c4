//! Sessions: devices with access tokens, and refresh tokens for the next ones.

use plexus_core::{ids::UserNid, row::Row};
use plexus_proto::{ConfirmSession, CreateSession, DeleteSessions, RefreshSession, Session};
use plexus_storage::{
    access_tokens::{self, TokenHash, TokenLife},
    devices::{self, Device},
    refresh_tokens::{self, RefreshToken},
};
use ruma::{DeviceId, OwnedDeviceId};

use super::{Decision, account::local_account, device::delete_device, keys::mark_device_list};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, unknown_token},
    leader::Leader,
};

/// Logs a device in. Its older tokens end.
pub(super) async fn create_session(leader: &Leader, command: &CreateSession) -> Result<Decision, CommandError> {
    let user = local_account(leader, &command.user_id).await?;
    let session = command.session.as_ref().ok_or(CommandError::Malformed("no session"))?;
    let device = device_id(&session.device_id)?;
    let mut decision = Decision::default();
    end_tokens(&mut decision.change, user, &device);
    add_session(user, session, leader.clock.now_ms(), &mut decision.change)?;
    if leader.store.device(user, &device).await?.is_none() {
        mark_device_list(user, Some(&device), &mut decision.change);
    }
    Ok(decision)
}

/// Logs one device out, or some, or all of them.
pub(super) async fn delete_sessions(leader: &Leader, command: &DeleteSessions) -> Result<Decision, CommandError> {
    let user = local_account(leader, &command.user_id).await?;
    let mut doomed = leader.store.devices(user).await?;
    if command.device_id.is_some() || !command.device_ids.is_empty() {
        let named = command.device_id.iter().chain(&command.device_ids);
        let named: Vec<&str> = named.map(String::as_str).collect();
        doomed.retain(|device| named.contains(&device.device_id.as_str()));
    }
    let mut decision = Decision::default();
    end_sessions(&mut decision.change, user, &doomed);
    Ok(decision)
}

/// Removes devices, and tells of each.
pub(super) fn end_sessions(change: &mut ChangeSet, user: UserNid, doomed: &[Device]) {
    for device in doomed {
        delete_device(change, user, &device.device_id);
        mark_device_list(user, Some(&device.device_id), change);
    }
}

/// Gives new tokens for a refresh token, which ends only once they are used: the answer may get lost.
pub(super) async fn refresh_session(leader: &Leader, command: &RefreshSession) -> Result<Decision, CommandError> {
    let user = local_account(leader, &command.user_id).await?;
    let session = command.session.as_ref().ok_or(CommandError::Malformed("no session"))?;
    let shown = leader.store.refresh_token(&token_hash(&command.shown_hash)?).await?;
    let shown = shown.filter(|shown| shown.user == user && shown.device_id == session.device_id.as_str());
    let shown = shown.ok_or_else(|| unknown_token("The refresh token has been used"))?;
    let mut decision = Decision::default();
    // What came before it has been used, or it could not be shown; what came after it did not arrive, or it would not be.
    keep_pair(&mut decision.change, user, &shown.device_id, &shown.access_hash);
    let now_ms = leader.clock.now_ms();
    add_tokens(user, session, true, now_ms, &mut decision.change)?;
    push_row(&mut decision.change, user, shown.device_id);
    Ok(decision)
}

/// Ends the tokens that came before an access token that is used for the first time.
pub(super) async fn confirm_session(leader: &Leader, command: &ConfirmSession) -> Result<Decision, CommandError> {
    let token_hash = token_hash(&command.token_hash)?;
    let mut decision = Decision::default();
    let Some(session) = leader.store.session(&token_hash).await? else {
        return Err(unknown_token("The session has ended"));
    };
    if session.user_id != command.user_id.as_str() {
        return Err(CommandError::Malformed("somebody else's session"));
    }
    if session.life.unconfirmed {
        keep_pair(&mut decision.change, session.user, &session.device_id, &token_hash);
        push_row(&mut decision.change, session.user, session.device_id.clone());
    }
    Ok(decision)
}

/// Adds the device of a new session, if it is not there, and its tokens.
pub(super) fn add_session(
    user: UserNid,
    session: &Session,
    now_ms: i64,
    change: &mut ChangeSet,
) -> Result<(), CommandError> {
    let device = device_id(&session.device_id)?;
    let row = Device {
        device_id: device.clone(),
        display_name: session.display_name.clone(),
        created_ms: now_ms,
    };
    change.statements.push(devices::insert(user, &row));
    add_tokens(user, session, false, now_ms, change)?;
    push_row(change, user, device);
    Ok(())
}

fn add_tokens(
    user: UserNid,
    session: &Session,
    unconfirmed: bool,
    now_ms: i64,
    change: &mut ChangeSet,
) -> Result<(), CommandError> {
    let access_hash = token_hash(&session.token_hash)?;
    let device_id = device_id(&session.device_id)?;
    let life = TokenLife {
        expires_ms: session.expires_ms,
        unconfirmed,
    };
    let token = access_tokens::insert(&access_hash, user, &device_id, life, now_ms);
    change.statements.push(token);
    if let Some(refresh_hash) = &session.refresh_hash {
        let token = RefreshToken {
            token_hash: token_hash(refresh_hash)?,
            user,
            device_id,
            access_hash,
        };
        change.statements.push(refresh_tokens::insert(&token, now_ms));
    }
    Ok(())
}

/// Leaves a device one access token and the refresh token given with it; both are in use from now on.
fn keep_pair(change: &mut ChangeSet, user: UserNid, device_id: &DeviceId, access_hash: &TokenHash) {
    change.statements.extend([
        refresh_tokens::delete_others(user, device_id, access_hash),
        access_tokens::delete_others(user, device_id, access_hash),
        access_tokens::confirm(access_hash),
    ]);
}

fn end_tokens(change: &mut ChangeSet, user: UserNid, device_id: &DeviceId) {
    change.statements.extend([
        refresh_tokens::delete_of_device(user, device_id),
        access_tokens::delete_of_device(user, device_id),
    ]);
}

fn push_row(change: &mut ChangeSet, user: UserNid, device: OwnedDeviceId) {
    change.rows.push(Row::Device {
        user,
        device,
        deleted: false,
    });
}

fn token_hash(bytes: &[u8]) -> Result<TokenHash, CommandError> {
    bytes.try_into().map_err(|_| CommandError::Malformed("token_hash"))
}

fn device_id(text: &str) -> Result<OwnedDeviceId, CommandError> {
    if text.is_empty() {
        return Err(CommandError::Malformed("device_id"));
    }
    Ok(text.into())
}

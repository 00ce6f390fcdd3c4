//! Accounts, devices and access tokens.

use plexus_core::{ids::UserNid, row::Row};
use plexus_proto::{CreateSession, DeleteSessions, Register, Session};
use plexus_storage::{
    access_tokens::{self, TokenHash, TokenLife},
    accounts::{self, Account, Standing},
    devices::{self, Device},
    profiles,
};
use ruma::OwnedDeviceId;
use serde_json::value::to_raw_value;

use super::{
    Decision,
    event::user_id,
    keys::{mark_device_list, remove_keys_of_device},
};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, unknown_token, user_in_use},
    leader::Leader,
};

/// Makes an account, and its first session unless the client wants none.
pub(super) async fn register(leader: &Leader, command: &Register) -> Result<Decision, CommandError> {
    let user_id = user_id(&command.user_id)?;
    let interned = leader.interner.user(user_id).await?;
    if leader.store.account(interned.nid).await?.is_some() {
        return Err(user_in_use());
    }
    let mut change = ChangeSet::default();
    let user = interned.with(&mut change.statements);
    let now_ms = leader.clock.now_ms();
    change.statements.push(accounts::insert(&Account {
        user,
        password_hash: command.password_hash.clone(),
        admin: command.admin,
        guest: command.guest,
        deactivated: false,
        standing: Standing::default(),
        created_ms: now_ms,
    }));
    let name = to_raw_value(&command.display_name).map_err(|_| CommandError::Malformed("display_name"))?;
    change.statements.push(profiles::upsert(user, "displayname", &name));
    change.rows.push(Row::Account { user });
    if let Some(session) = &command.session {
        add_session(user, session, now_ms, &mut change)?;
    }
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

/// Logs a device in. Its older access tokens end.
pub(super) async fn create_session(leader: &Leader, command: &CreateSession) -> Result<Decision, CommandError> {
    let user = local_account(leader, &command.user_id).await?;
    let session = command.session.as_ref().ok_or(CommandError::Malformed("no session"))?;
    let device = device_id(&session.device_id)?;
    let mut change = ChangeSet::default();
    change.statements.push(access_tokens::delete_of_device(user, &device));
    add_session(user, session, leader.clock.now_ms(), &mut change)?;
    if leader.store.device(user, &device).await?.is_none() {
        mark_device_list(user, &mut change);
    }
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

/// Logs one device out, or all of them.
pub(super) async fn delete_sessions(leader: &Leader, command: &DeleteSessions) -> Result<Decision, CommandError> {
    let user = local_account(leader, &command.user_id).await?;
    let mut change = ChangeSet::default();
    let mut doomed = leader.store.devices(user).await?;
    if let Some(only) = &command.device_id {
        doomed.retain(|device| device.device_id.as_str() == only);
    }
    remove_devices(user, doomed.into_iter().map(|device| device.device_id), &mut change);
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

/// Removes devices with all that is kept for them: access tokens, keys, waiting messages. The one way a device goes.
pub(super) fn remove_devices(user: UserNid, devices: impl IntoIterator<Item = OwnedDeviceId>, change: &mut ChangeSet) {
    let before = change.rows.len();
    for device in devices {
        change.statements.push(access_tokens::delete_of_device(user, &device));
        remove_keys_of_device(user, &device, change);
        change.statements.push(devices::delete(user, &device));
        change.rows.push(Row::Device {
            user,
            device,
            deleted: true,
        });
    }
    if change.rows.len() > before {
        mark_device_list(user, change);
    }
}

pub(super) async fn local_account(leader: &Leader, id: &str) -> Result<UserNid, CommandError> {
    let gone = || unknown_token("This account is not there");
    let user = leader.store.user_nid(user_id(id)?).await?.ok_or_else(gone)?;
    let account = leader.store.account(user).await?.ok_or_else(gone)?;
    if account.deactivated {
        return Err(gone());
    }
    Ok(user)
}

fn add_session(user: UserNid, session: &Session, now_ms: i64, change: &mut ChangeSet) -> Result<(), CommandError> {
    let token_hash: TokenHash = session
        .token_hash
        .as_ref()
        .try_into()
        .map_err(|_| CommandError::Malformed("token_hash"))?;
    let device = device_id(&session.device_id)?;
    let row = Device {
        device_id: device.clone(),
        display_name: session.display_name.clone(),
        created_ms: now_ms,
    };
    change.statements.push(devices::insert(user, &row));
    change.statements.push(access_tokens::insert(
        &token_hash,
        user,
        &device,
        TokenLife::default(),
        now_ms,
    ));
    change.rows.push(Row::Device {
        user,
        device,
        deleted: false,
    });
    Ok(())
}

fn device_id(text: &str) -> Result<OwnedDeviceId, CommandError> {
    if text.is_empty() {
        return Err(CommandError::Malformed("device_id"));
    }
    Ok(text.into())
}

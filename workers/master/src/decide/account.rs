//! Accounts: made, changed, moderated, closed.

use plexus_core::{
    ids::UserNid,
    row::{Membership, Row},
};
use plexus_proto::{
    ChangeMembership, Deactivate, Register, SetPassword, SetStanding, change_membership::Action, command::Kind,
};
use plexus_storage::{
    accounts::{self, Account, Standing},
    profiles, tasks,
};
use serde_json::value::to_raw_value;

use super::{
    Decision,
    event::user_id,
    session::{add_session, end_sessions},
};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, not_found, unknown_token, user_in_use},
    leader::Leader,
};

/// The memberships that are left when an account is closed.
const LEFT: [Membership; 3] = [Membership::Join, Membership::Invite, Membership::Knock];

/// Makes an account, or makes a guest's account a user's; and its first session unless the client wants none.
pub(super) async fn register(leader: &Leader, command: &Register) -> Result<Decision, CommandError> {
    let user_id = user_id(&command.user_id)?;
    let interned = leader.interner.user(user_id).await?;
    let now_ms = leader.clock.now_ms();
    let mut change = ChangeSet::default();
    let account = leader.store.account(interned.nid).await?;
    let user = match account {
        Some(account) if account.guest && !account.deactivated && command.upgrades_guest => {
            let hash = command.password_hash.as_deref();
            change.statements.push(accounts::upgrade(account.user, hash));
            account.user
        }
        Some(_) => return Err(user_in_use()),
        None => {
            let user = interned.with(&mut change.statements);
            make_account(user, command, now_ms, &mut change)?;
            user
        }
    };
    change.rows.push(Row::Account { user });
    if let Some(session) = &command.session {
        add_session(user, session, now_ms, &mut change)?;
    }
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

fn make_account(user: UserNid, command: &Register, now_ms: i64, change: &mut ChangeSet) -> Result<(), CommandError> {
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
    Ok(())
}

/// Changes the password, and ends the other sessions if that is wished.
pub(super) async fn set_password(leader: &Leader, command: &SetPassword) -> Result<Decision, CommandError> {
    let user = local_account(leader, &command.user_id).await?;
    let mut decision = Decision::default();
    let change = &mut decision.change;
    change
        .statements
        .push(accounts::set_password(user, &command.password_hash));
    change.rows.push(Row::Account { user });
    if command.end_other_sessions {
        let mut doomed = leader.store.devices(user).await?;
        let kept = command.kept_device_id.as_deref();
        doomed.retain(|device| Some(device.device_id.as_str()) != kept);
        end_sessions(change, user, &doomed);
    }
    Ok(decision)
}

/// Closes an account: its sessions, its password and its profile go now, its rooms follow by a task each.
pub(super) async fn deactivate(leader: &Leader, command: &Deactivate) -> Result<Decision, CommandError> {
    let user = local_account(leader, &command.user_id).await?;
    let account = leader.store.account(user).await?;
    let mut standing = account.map(|account| account.standing).unwrap_or_default();
    standing.erased |= command.erase;
    let mut decision = Decision::default();
    let change = &mut decision.change;
    change.statements.extend([
        accounts::deactivate(user),
        accounts::set_standing(user, standing),
        profiles::delete_all(user),
    ]);
    change.rows.push(Row::Account { user });
    change.rows.push(Row::Profile { user });
    end_sessions(change, user, &leader.store.devices(user).await?);
    let rooms = leader.store.user_rooms(user).await?;
    for (room, _) in LEFT.into_iter().flat_map(|membership| rooms.with(membership)) {
        let room = leader.store.room_by_nid(room).await?;
        let room = room.ok_or(CommandError::Damaged("a membership of no room"))?;
        let leave = ChangeMembership {
            room_id: room.id.to_string(),
            sender: command.user_id.clone(),
            target: command.user_id.clone(),
            action: Action::Leave.into(),
            ..ChangeMembership::default()
        };
        let task = leader.new_task(Kind::ChangeMembership(leave));
        change.statements.push(tasks::insert(&task));
        change.asks_for_tasks = true;
    }
    Ok(decision)
}

/// Locks or suspends an account, or ends that.
pub(super) async fn set_standing(leader: &Leader, command: &SetStanding) -> Result<Decision, CommandError> {
    let unknown = || not_found("There is no such user");
    let user = leader.store.user_nid(user_id(&command.user_id)?).await?;
    let user = user.ok_or_else(unknown)?;
    let account = leader.store.account(user).await?.ok_or_else(unknown)?;
    let standing = Standing {
        locked: command.locked.unwrap_or(account.standing.locked),
        suspended: command.suspended.unwrap_or(account.standing.suspended),
        ..account.standing
    };
    let mut decision = Decision::default();
    if standing != account.standing {
        decision.change.statements.push(accounts::set_standing(user, standing));
        decision.change.rows.push(Row::Account { user });
    }
    Ok(decision)
}

/// A user of this server whose account is open.
pub(super) async fn local_account(leader: &Leader, id: &str) -> Result<UserNid, CommandError> {
    let gone = || unknown_token("This account is not there");
    let user = leader.store.user_nid(user_id(id)?).await?.ok_or_else(gone)?;
    let account = leader.store.account(user).await?.ok_or_else(gone)?;
    if account.deactivated {
        return Err(gone());
    }
    Ok(user)
}

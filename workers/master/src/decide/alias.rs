//! Room aliases: made, and taken away. Who may is decided by the worker; here no two rooms get the same one.

use plexus_core::{ids::RoomNid, row::Row};
use plexus_proto::{DeleteAlias, SetAlias};
use plexus_storage::room_aliases;
use ruma::{RoomAliasId, RoomId, UserId};

use super::{Decision, event::user_id, head::LaneState};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, alias_exists, not_found},
    leader::Leader,
};

/// Makes an alias of a room.
pub(super) async fn set_alias(
    leader: &Leader,
    state: &mut LaneState,
    command: &SetAlias,
) -> Result<Decision, CommandError> {
    let room_id = <&RoomId>::try_from(command.room_id.as_str()).map_err(|_| CommandError::Malformed("room_id"))?;
    let room = leader.store.room(room_id).await?;
    let room = room
        .ok_or_else(|| not_found("There is no such room on this server"))?
        .nid;
    let mut change = ChangeSet::default();
    let creator = user_id(&command.creator)?;
    reserve(leader, state, &command.alias, creator, room, &mut change, alias_exists).await?;
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

/// Takes an alias, which has to be free, for a room.
pub(super) async fn reserve(
    leader: &Leader,
    state: &mut LaneState,
    alias: &str,
    creator: &UserId,
    room: RoomNid,
    change: &mut ChangeSet,
    taken: fn() -> CommandError,
) -> Result<(), CommandError> {
    let alias = alias_id(alias)?;
    if exists(leader, state, alias).await? {
        return Err(taken());
    }
    let creator = leader.interner.user(creator).await?.with(&mut change.statements);
    change.statements.push(room_aliases::insert(alias, room, creator));
    change.rows.push(Row::Room { room });
    state.alias = Some(true);
    Ok(())
}

/// Takes an alias away.
pub(super) async fn delete_alias(
    leader: &Leader,
    state: &mut LaneState,
    command: &DeleteAlias,
) -> Result<Decision, CommandError> {
    let alias = alias_id(&command.alias)?;
    let stored = leader.store.room_alias(alias).await?;
    let unknown = || not_found("There is no such room alias");
    if !exists(leader, state, alias).await? {
        return Err(unknown());
    }
    // One that this very turn has made is there once the turn is committed: whoever asked so soon asks again.
    let stored = stored.ok_or(CommandError::Busy)?;
    let mut change = ChangeSet::default();
    change.statements.push(room_aliases::delete(alias));
    change.rows.push(Row::Room { room: stored.room });
    state.alias = Some(false);
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

async fn exists(leader: &Leader, state: &LaneState, alias: &RoomAliasId) -> Result<bool, CommandError> {
    match state.alias {
        Some(exists) => Ok(exists),
        None => Ok(leader.store.room_alias(alias).await?.is_some()),
    }
}

fn alias_id(alias: &str) -> Result<&RoomAliasId, CommandError> {
    alias.try_into().map_err(|_| CommandError::Malformed("alias"))
}

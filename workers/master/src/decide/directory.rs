//! The room directory.

use plexus_core::row::Row;
use plexus_proto::SetListed;
use plexus_storage::room_directory;
use ruma::RoomId;

use super::Decision;
use crate::{
    change_set::ChangeSet,
    error::{CommandError, not_found},
    leader::Leader,
};

/// Puts a room into the directory or takes it out. Doing it twice is doing it once.
pub(super) async fn set_listed(leader: &Leader, command: &SetListed) -> Result<Decision, CommandError> {
    let room_id = <&RoomId>::try_from(command.room_id.as_str()).map_err(|_| CommandError::Malformed("room_id"))?;
    let room = leader.store.room(room_id).await?;
    let room = room
        .ok_or_else(|| not_found("There is no such room on this server"))?
        .nid;
    let mut change = ChangeSet::default();
    change.statements.push(room_directory::update(room, command.listed));
    change.rows.push(Row::Room { room });
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

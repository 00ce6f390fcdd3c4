//! Forgetting rooms.

use plexus_core::row::{Membership, Row};
use plexus_proto::ForgetRoom;
use plexus_storage::forgotten_rooms;
use ruma::RoomId;

use super::{Decision, event::user_id};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, bad_state, outsider},
    leader::Leader,
};

/// A user forgets a room he has left, or into which he did not want. Doing it twice is doing it once. Whoever has had nothing to do with it does not learn
/// whether there is such a room.
pub(super) async fn forget_room(leader: &Leader, command: &ForgetRoom) -> Result<Decision, CommandError> {
    let room_id = <&RoomId>::try_from(command.room_id.as_str()).map_err(|_| CommandError::Malformed("room_id"))?;
    let room = leader.store.room(room_id).await?.ok_or_else(outsider)?;
    let user = leader.store.user_nid(user_id(&command.user_id)?).await?;
    let user = user.ok_or_else(outsider)?;
    let rooms = leader.store.user_rooms(user).await?;
    match rooms.get(room.nid).map(|member| member.membership) {
        Some(Membership::Leave | Membership::Ban) => {}
        Some(Membership::Join | Membership::Invite | Membership::Knock) => {
            return Err(bad_state(
                "You are still in the room, or on your way into it: leave it first",
            ));
        }
        None => return Err(outsider()),
    }
    let mut change = ChangeSet::default();
    let statement = forgotten_rooms::upsert(user, room.nid, change.next_sequence());
    change.statements.push(statement);
    change.rows.push(Row::Forgotten { user, room: room.nid });
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

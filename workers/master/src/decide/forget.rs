//! Forgetting rooms.

use plexus_core::row::{Membership, Row};
use plexus_proto::ForgetRoom;
use plexus_storage::forgotten_rooms;

use super::{Decision, event::user_id, head::PendingHead};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, bad_state},
    leader::Leader,
};

/// A user forgets a room he has left. Doing it twice is doing it once.
pub(super) async fn forget_room(
    leader: &Leader,
    head: &mut PendingHead,
    command: &ForgetRoom,
) -> Result<Decision, CommandError> {
    let user_id = user_id(&command.user_id)?;
    let member = head.state_event(leader, "m.room.member", user_id.as_str()).await?;
    match member.and_then(|member| member.membership()) {
        Some(Membership::Leave | Membership::Ban) => {}
        Some(Membership::Join | Membership::Invite | Membership::Knock) => {
            return Err(bad_state(
                "You are still in the room, or on your way into it: leave it first",
            ));
        }
        None => return Err(bad_state("You have never been in such a room")),
    }
    let user = leader.store.user_nid(user_id).await?;
    let user = user.ok_or(CommandError::Damaged("a member without a number"))?;
    let mut change = ChangeSet::default();
    let statement = forgotten_rooms::upsert(user, head.info.nid, change.next_sequence());
    change.statements.push(statement);
    change.rows.push(Row::Forgotten {
        user,
        room: head.info.nid,
    });
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

//! Who has to know of what.

use std::{collections::BTreeSet, sync::Arc};

use plexus_core::{
    ids::{EventNid, RoomNid, UserNid},
    position::Sequence,
    row::Membership,
};
use plexus_service::ServiceError;
use plexus_storage::OutgoingChange;
use ruma::OwnedServerName;

use super::{
    board::{Edu, Item, Lasting, Pdu},
    sender::Sender,
};

/// Puts a change into the queues of those who have to know of it.
pub(super) async fn route(
    sender: &Arc<Sender>,
    position: Sequence,
    change: &OutgoingChange,
) -> Result<(), ServiceError> {
    match change {
        OutgoingChange::Event { event, room, member } => {
            route_event(sender, position, (*event, *room), *member).await?;
        }
        OutgoingChange::Receipt(row) => {
            if sender.is_ours(row.user).await? {
                let what = Lasting::Receipt(Arc::new((**row).clone()));
                let present = sender.ctx().store.room_servers(row.room).await?;
                sender.push(present.iter(), &Item::Edu(Edu { position, what }));
            }
        }
        OutgoingChange::DeviceList(user) => {
            if sender.is_ours(*user).await? {
                let what = Lasting::Device {
                    user: *user,
                    change: position,
                };
                let sharing = sharing_servers(sender, *user).await?;
                sender.push(
                    sharing.iter().map(|server| &**server),
                    &Item::Edu(Edu { position, what }),
                );
            }
        }
        OutgoingChange::ToDevice(server) => {
            let what = Lasting::Messages;
            sender.push(std::iter::once(&**server), &Item::Edu(Edu { position, what }));
        }
    }
    Ok(())
}

/// An event goes to the servers in the room before or after it: who has to leave learns that too.
async fn route_event(
    sender: &Arc<Sender>,
    position: Sequence,
    (event, room): (EventNid, RoomNid),
    member: Option<(UserNid, Membership)>,
) -> Result<(), ServiceError> {
    let store = &sender.ctx().store;
    let after = store.room_servers_at(room, position).await?;
    let pdu = Item::Pdu(Pdu { position, event });
    sender.push(after.iter(), &pdu);
    let Some((user, membership)) = member else {
        return Ok(());
    };
    let before = store.room_servers_at(room, position - 1).await?;
    let gone = before.iter().filter(|server| !after.contains(server));
    sender.push(gone, &pdu);
    if matches!(membership, Membership::Leave | Membership::Ban) && !sender.is_ours(user).await? {
        // Who was invited, or has knocked, is not in the room, and his server is to know that he is out.
        let target = store.user_id(user).await?;
        let server = target.as_ref().map(|target| target.server_name());
        let absent = server.filter(|server| !after.contains(server) && !before.contains(server));
        sender.push(absent.into_iter(), &pdu);
    }
    if membership == Membership::Join && sender.is_ours(user).await? {
        let was = store.membership_at(user, room, position - 1).await?;
        let comes = was.is_none_or(|was| was.membership != Membership::Join);
        if comes && let Some(last) = store.last_device_change(user).await? {
            // Some of them did not hear of the user's devices until now. The last change is enough: who lacks those before it asks.
            let change = last.position;
            let what = Lasting::Device { user, change };
            sender.push(after.iter(), &Item::Edu(Edu { position, what }));
        }
    }
    Ok(())
}

/// The servers that share a room with a user.
pub(super) async fn sharing_servers(sender: &Sender, user: UserNid) -> Result<BTreeSet<OwnedServerName>, ServiceError> {
    let store = &sender.ctx().store;
    let mut servers = BTreeSet::new();
    for (room, _) in store.user_rooms(user).await?.with(Membership::Join) {
        for server in store.room_servers(room).await?.iter() {
            if !servers.contains(server) {
                servers.insert(server.to_owned());
            }
        }
    }
    Ok(servers)
}

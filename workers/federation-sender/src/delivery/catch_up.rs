//! What a destination that lags has missed.
//!
//! Nothing is kept for it while it is away but what is kept anyway: the newest events of the rooms it is in, from which it finds the rest by itself; messages to
//! devices, all of them; the last change of each device, whose chain tells it whether there were others; the newest receipts.

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
    row::{Membership, ReceiptKind, ReceiptRow},
};
use plexus_service::ServiceError;
use ruma::ServerName;

use super::{
    board::{Batch, EDUS_MAX, Edu, Lasting, PDUS_MAX, Pdu},
    route::Present,
    sender::Sender,
};

/// Events of one room, the newest. With fewer than that, nothing is left for the destination to find by itself.
const EVENTS_PER_ROOM_MAX: i64 = 50;
/// Changes of devices on one page.
const DEVICES_PER_PAGE: i64 = 1_000;
/// Most of our users who came into one room meanwhile whose devices are told of. Of others it is found out when they are written to.
const JOINS_PER_ROOM_MAX: i64 = 1_000;

/// What came for a destination in (since, `up_to`], in transactions.
pub(super) async fn collect(
    sender: &Sender,
    server: &ServerName,
    since: Sequence,
    up_to: Sequence,
) -> Result<Vec<Batch>, ServiceError> {
    let store = &sender.ctx().store;
    let mut edus: Vec<Edu> = store
        .outgoing_to_device_places(server, up_to)
        .await?
        .into_iter()
        .map(|position| Edu {
            position,
            what: Lasting::Messages,
        })
        .collect();
    let mut pdus = Vec::new();
    let mut shared = BTreeSet::new();
    for room in rooms(sender, server).await? {
        let is_in = Present::now(sender, room).await?.contains(server);
        if is_in {
            shared.insert(room);
        }
        if store.last_change(room) <= since {
            continue;
        }
        pdus.extend(newest_events(sender, server, (room, is_in), (since, up_to)).await?);
        if is_in {
            edus.extend(receipts(sender, room, since, up_to).await?);
        }
    }
    edus.extend(devices(sender, &shared, since, up_to).await?);
    pdus.sort_unstable_by_key(|pdu| pdu.position);
    Ok(batches(&pdus, &edus))
}

/// The rooms in which the server has ever been.
async fn rooms(sender: &Sender, server: &ServerName) -> Result<BTreeSet<RoomNid>, ServiceError> {
    let store = &sender.ctx().store;
    let mut rooms: BTreeSet<RoomNid> = store.rooms_of_server(server).await?.into_iter().collect();
    for (room, completed) in store.partial_rooms().await?.iter() {
        // Its users there may not be known yet.
        if completed.is_none() && Present::now(sender, *room).await?.contains(server) {
            rooms.insert(*room);
        }
    }
    Ok(rooms)
}

fn batches(pdus: &[Pdu], edus: &[Edu]) -> Vec<Batch> {
    let mut events_left = pdus.chunks(PDUS_MAX);
    let mut others_left = edus.chunks(EDUS_MAX);
    let mut batches = Vec::new();
    loop {
        let (events, others) = (events_left.next(), others_left.next());
        if events.is_none() && others.is_none() {
            return batches;
        }
        batches.push(Batch {
            pdus: events.unwrap_or_default().to_vec(),
            edus: others.unwrap_or_default().to_vec(),
            passing: Vec::new(),
        });
    }
}

/// The newest of our events in a room that the server was in before or after them.
async fn newest_events(
    sender: &Sender,
    server: &ServerName,
    (room, is_in): (RoomNid, bool),
    (since, up_to): (Sequence, Sequence),
) -> Result<Vec<Pdu>, ServiceError> {
    let store = &sender.ctx().store;
    let changed = store
        .last_member_change_of_server(room, server)
        .await?
        .unwrap_or_default();
    // What came after the last of its users went is not for it.
    let up_to = if is_in { up_to } else { up_to.min(changed) };
    let newest = store.outgoing_events(room, since, up_to, EVENTS_PER_ROOM_MAX).await?;
    let mut found = Vec::with_capacity(newest.len());
    for (position, event) in newest {
        let was_in = if changed <= since {
            is_in
        } else {
            store.room_servers_at(room, position).await?.contains(server)
                || store.room_servers_at(room, position - 1).await?.contains(server)
        };
        if was_in {
            found.push(Pdu { position, event });
        }
    }
    Ok(found)
}

async fn receipts(sender: &Sender, room: RoomNid, since: Sequence, up_to: Sequence) -> Result<Vec<Edu>, ServiceError> {
    let receipts = sender.ctx().store.receipts(room).await?;
    let mut edus = Vec::new();
    for (position, receipt) in receipts.between(since, up_to) {
        if receipt.kind != ReceiptKind::Read || !sender.is_ours(receipt.user).await? {
            continue;
        }
        let row = ReceiptRow {
            room,
            user: receipt.user,
            kind: receipt.kind,
            thread: receipt.thread.clone(),
            event_id: receipt.event_id.clone(),
            ts_ms: receipt.ts_ms,
        };
        let what = Lasting::Receipt(row.into());
        edus.push(Edu { position, what });
    }
    Ok(edus)
}

/// The changes of devices of our users in the rooms that the server is in, and the last one of each user who came into one of them.
async fn devices(
    sender: &Sender,
    shared: &BTreeSet<RoomNid>,
    since: Sequence,
    up_to: Sequence,
) -> Result<Vec<Edu>, ServiceError> {
    let store = &sender.ctx().store;
    let mut edus = Vec::new();
    let mut sharing: HashMap<UserNid, bool> = HashMap::new();
    let mut after = since;
    loop {
        let page = store.device_changes(after, up_to, DEVICES_PER_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for change in page {
            let is_seen = match sharing.entry(change.user) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(place) => {
                    let rooms = store.user_rooms(change.user).await?;
                    *place.insert(rooms.with(Membership::Join).any(|(room, _)| shared.contains(&room)))
                }
            };
            if is_seen {
                edus.push(device(change.user, change.position));
            }
        }
    }
    let mut came = BTreeSet::new();
    for room in shared.iter().filter(|room| store.last_change(**room) > since) {
        let own = &sender.ctx().config.server_name;
        came.extend(
            store
                .joins_of_server(*room, own, (since, up_to), JOINS_PER_ROOM_MAX)
                .await?,
        );
    }
    for user in came.into_iter().filter(|user| !sharing.contains_key(user)) {
        if let Some(last) = store.last_device_change(user).await? {
            edus.push(device(user, last.position));
        }
    }
    Ok(edus)
}

fn device(user: UserNid, change: Sequence) -> Edu {
    Edu {
        position: change,
        what: Lasting::Device { user, change },
    }
}

#[cfg(test)]
mod tests {
    use plexus_core::ids::EventNid;

    use super::*;

    #[test]
    fn seed_5418_no_transaction_is_too_large_and_nothing_is_left_out() {
        let pdus: Vec<Pdu> = (1..=120)
            .map(|position| Pdu {
                position,
                event: EventNid(position),
            })
            .collect();
        let edus: Vec<Edu> = (1..=350).map(|position| device(UserNid(1), position)).collect();
        let batches = batches(&pdus, &edus);
        let sizes: Vec<_> = batches
            .iter()
            .map(|batch| (batch.pdus.len(), batch.edus.len()))
            .collect();
        assert_eq!(sizes, [(50, 100), (50, 100), (20, 100), (0, 50)]);
        let sent: Vec<Edu> = batches.into_iter().flat_map(|batch| batch.edus).collect();
        assert_eq!(sent, edus);
    }
}

use super::*;

fn entry(membership: Membership, position: Sequence) -> RoomMembership {
    RoomMembership {
        membership,
        event: EventNid(position),
        position,
        forgotten: false,
    }
}

#[test]
fn the_newest_entry_counts_whatever_comes_first() {
    let mut rooms = UserRooms::default();
    rooms.put(RoomNid(1), entry(Membership::Invite, 4));
    rooms.put(RoomNid(2), entry(Membership::Join, 5));
    assert_eq!((rooms.joined(), rooms.invited(), rooms.last_change()), (1, 1, 5));
    rooms.put(RoomNid(1), entry(Membership::Join, 6));
    // The database was ahead: this row is older than what is there.
    rooms.put(RoomNid(1), entry(Membership::Leave, 5));
    rooms.put(RoomNid(1), entry(Membership::Join, 6));
    assert_eq!((rooms.joined(), rooms.invited(), rooms.last_change()), (2, 0, 6));
    rooms.put(RoomNid(2), entry(Membership::Ban, 9));
    assert_eq!(rooms.get(RoomNid(2)), Some(entry(Membership::Ban, 9)));
    assert_eq!(
        rooms.with(Membership::Join).map(|(room, _)| room).collect::<Vec<_>>(),
        [RoomNid(1)]
    );
    assert_eq!((rooms.joined(), rooms.iter().count()), (1, 2));
}

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

#[test]
fn the_oldest_come_first_and_the_newest_are_found() {
    let mut members = RoomMembers::default();
    for user in 1..=4 {
        members.put(UserNid(user), entry(Membership::Join, 10));
    }
    members.put(UserNid(2), entry(Membership::Leave, 20));
    members.put(UserNid(5), entry(Membership::Invite, 30));
    let order: Vec<i64> = members.oldest_first().map(|(user, _)| user.0).collect();
    assert_eq!(order, [1, 3, 4, 2, 5]);
    let changed: Vec<i64> = members.changed_after(10).into_iter().map(|(user, _)| user.0).collect();
    assert_eq!(changed, [5, 2]);
    members.take(UserNid(5));
    assert_eq!((members.last_change(), members.invited(), members.joined()), (20, 0, 3));
}

//! Which member events a device with lazy members has been sent, so that they are not repeated.
//!
//! A hint in memory: what is forgotten is sent again, which clients expect. It must not err the other way, so a member counts as sent only once the device
//! has shown that it got the answer, by asking from after it; and what was sent before the device last began anew does not count.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
};
use quick_cache::{Equivalent, sync::Cache};

/// Most members of rooms that are remembered, over all devices; about 100 bytes each.
const SENT_MAX: usize = 200_000;

/// Most devices whose beginning is remembered.
const DEVICES_MAX: usize = 20_000;

/// What devices have been sent. Cheap to clone.
#[derive(Clone)]
pub struct SentMembers(Arc<Inner>);

struct Inner {
    /// The place at which each member was sent.
    sent: Cache<Key, Sequence>,
    /// The place at which each device began, or we began to remember.
    begun: Cache<(UserNid, Box<str>), Sequence>,
}

/// A user's device.
pub(super) type Device<'a> = (UserNid, &'a str);

#[derive(Clone, PartialEq, Eq)]
struct Key {
    user: UserNid,
    device: Box<str>,
    room: RoomNid,
    member: UserNid,
}

struct Borrowed<'a>(Device<'a>, RoomNid, UserNid);

impl Key {
    fn borrowed(&self) -> Borrowed<'_> {
        Borrowed((self.user, &self.device), self.room, self.member)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

impl Hash for Borrowed<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self(device, room, member) = self;
        (device, room, member).hash(state);
    }
}

impl Equivalent<Key> for Borrowed<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        let Self(device, room, member) = self;
        *device == (key.user, &*key.device) && *room == key.room && *member == key.member
    }
}

impl Default for SentMembers {
    fn default() -> Self {
        Self(Arc::new(Inner {
            sent: Cache::new(SENT_MAX),
            begun: Cache::new(DEVICES_MAX),
        }))
    }
}

impl SentMembers {
    /// The device begins anew: nothing it was sent before `at` counts.
    pub(super) fn begin(&self, device: Device<'_>, at: Sequence) {
        self.0.begun.insert((device.0, device.1.into()), at);
    }

    /// Whether the device has got the member event of somebody in a room, as it shows by asking for what is after `since`.
    pub(super) fn knows(&self, device: Device<'_>, room: RoomNid, member: UserNid, since: Sequence) -> bool {
        let Some(begun) = self.begun(device) else { return false };
        let sent = self.0.sent.get(&Borrowed(device, room, member));
        sent.is_some_and(|sent| begun <= sent && sent <= since)
    }

    /// The device is sent the member event of somebody in a room, in the answer up to `at`.
    pub(super) fn mark(&self, device: Device<'_>, room: RoomNid, member: UserNid, at: Sequence) {
        let begun = self.begun(device);
        if begun.is_none() {
            self.begin(device, at);
        }
        let before = self.0.sent.get(&Borrowed(device, room, member));
        if before.is_some_and(|before| begun.is_some_and(|begun| begun <= before)) {
            return;
        }
        let key = Key {
            user: device.0,
            device: device.1.into(),
            room,
            member,
        };
        self.0.sent.insert(key, at);
    }

    fn begun(&self, device: Device<'_>) -> Option<Sequence> {
        self.0.begun.get(&DeviceRef(device))
    }
}

struct DeviceRef<'a>(Device<'a>);

impl Hash for DeviceRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<(UserNid, Box<str>)> for DeviceRef<'_> {
    fn equivalent(&self, key: &(UserNid, Box<str>)) -> bool {
        self.0 == (key.0, &*key.1)
    }
}

impl fmt::Debug for SentMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentMembers")
            .field("sent", &self.0.sent.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: Device<'_> = (UserNid(1), "PHONE");
    const ROOM: RoomNid = RoomNid(2);
    const MEMBER: UserNid = UserNid(3);

    #[test]
    fn a_member_counts_once_the_answer_was_received() {
        let sent = SentMembers::default();
        assert!(!sent.knows(DEVICE, ROOM, MEMBER, 50));
        sent.mark(DEVICE, ROOM, MEMBER, 20);
        assert!(
            !sent.knows(DEVICE, ROOM, MEMBER, 19),
            "the answer was lost, the device asks from before it"
        );
        assert!(sent.knows(DEVICE, ROOM, MEMBER, 20));
        assert!(!sent.knows((UserNid(1), "TABLET"), ROOM, MEMBER, 20));
        assert!(!sent.knows(DEVICE, RoomNid(9), MEMBER, 20));
        sent.mark(DEVICE, ROOM, MEMBER, 30);
        assert!(
            sent.knows(DEVICE, ROOM, MEMBER, 25),
            "sent twice is still sent once before"
        );
    }

    #[test]
    fn who_begins_anew_has_nothing() {
        let sent = SentMembers::default();
        sent.begin(DEVICE, 10);
        sent.mark(DEVICE, ROOM, MEMBER, 20);
        sent.begin(DEVICE, 40);
        assert!(!sent.knows(DEVICE, ROOM, MEMBER, 50));
        sent.mark(DEVICE, ROOM, MEMBER, 40);
        assert!(sent.knows(DEVICE, ROOM, MEMBER, 40));
    }
}

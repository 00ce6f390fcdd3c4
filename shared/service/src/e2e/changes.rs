//! Whose devices and keys a user has something new to learn of, and of whose he learns nothing any more.
//!
//! A user learns of himself and of whoever shares a room with him. What changed lately is known in memory, so that a sync in which no device and no membership
//! has changed asks nothing of the database.

use std::collections::{BTreeMap, BTreeSet};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::{Sequence, WriterId},
    row::Membership,
    token::{SyncToken, Unreached},
};
use plexus_storage::{member_changes::MemberChange, memberships::UserRooms};
use ruma::OwnedUserId;

use crate::{Ctx, Requester, ServiceError, tokens};

/// Most users of whom it is found out one by one whether they still share a room; more are looked for in the rooms.
const ASKED_ONE_BY_ONE_MAX: usize = 64;

/// What is new of devices and keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Whose keys have to be asked for again.
    pub changed: Vec<UserNid>,
    /// Who shares no room any more.
    pub left: Vec<UserNid>,
}

/// What is new between two places of a client's sync: `GET /keys/changes`.
pub async fn key_changes(
    ctx: &Ctx,
    requester: &Requester,
    from: &str,
    to: &str,
) -> Result<(Vec<OwnedUserId>, Vec<OwnedUserId>), ServiceError> {
    let from = place(ctx, from).await?;
    let to = place(ctx, to).await?;
    let changes = changes_between(ctx, requester.user, from, to.max(from)).await?;
    let came = ctx.store.user_ids(&changes.changed).await?;
    let left = ctx.store.user_ids(&changes.left).await?;
    let ids = |found: Vec<Option<OwnedUserId>>| found.into_iter().flatten().collect();
    Ok((ids(came), ids(left)))
}

async fn place(ctx: &Ctx, token: &str) -> Result<Sequence, ServiceError> {
    let invalid = |_| ServiceError::invalid_param("`from` and `to` are tokens of a sync");
    let token: Unreached<SyncToken> = token.parse().map_err(invalid)?;
    if token.generation() != ctx.config.generation {
        return Err(ServiceError::invalid_param(
            "the token is of another history of this server",
        ));
    }
    Ok(tokens::open(ctx, token).await?.position.get(WriterId::MASTER))
}

/// What is new for a user in (after, `up_to`], a place that this process has reached.
pub async fn changes_between(
    ctx: &Ctx,
    viewer: UserNid,
    after: Sequence,
    up_to: Sequence,
) -> Result<Changes, ServiceError> {
    let members = ctx.store.recent_member_changes(after, up_to);
    let devices = ctx.store.device_lists_changed(viewer, after, up_to).await?;
    if devices.as_ref().is_some_and(Vec::is_empty) && members.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Changes::default());
    }
    let rooms = ctx.store.user_rooms_at(viewer, up_to).await?;
    let look = Look {
        ctx,
        viewer,
        rooms: &rooms,
        up_to,
    };
    let Some(devices) = devices else {
        return look.everything().await;
    };
    let members = if let Some(members) = members {
        let is_of_his = |change: &MemberChange| rooms.get(change.room).is_some();
        members.into_iter().filter(is_of_his).collect()
    } else {
        let all: Vec<RoomNid> = rooms.iter().map(|(room, _)| room).collect();
        match ctx.store.member_changes(&all, after, up_to).await? {
            Some(members) => members,
            None => return look.everything().await,
        }
    };
    look.collect(devices, members).await
}

/// What a member did to one room.
struct Moves {
    /// The first change: what was before it is what the client knows.
    first: MemberChange,
    /// What he is after the last.
    last: Membership,
}

fn by_room(changes: Vec<MemberChange>) -> BTreeMap<RoomNid, BTreeMap<UserNid, Moves>> {
    let mut by_room: BTreeMap<RoomNid, BTreeMap<UserNid, Moves>> = BTreeMap::new();
    for change in changes {
        let of_room = by_room.entry(change.room).or_default();
        let moves = of_room.entry(change.user).or_insert(Moves {
            first: change,
            last: change.membership,
        });
        moves.last = change.membership;
    }
    by_room
}

/// What the changes are looked at with.
struct Look<'a> {
    ctx: &'a Ctx,
    viewer: UserNid,
    /// The viewer's rooms at the end.
    rooms: &'a UserRooms,
    up_to: Sequence,
}

impl Look<'_> {
    async fn collect(&self, devices: Vec<UserNid>, members: Vec<MemberChange>) -> Result<Changes, ServiceError> {
        let mut changed: BTreeSet<UserNid> = BTreeSet::new();
        let mut gone: BTreeSet<UserNid> = BTreeSet::new();
        for (room, of_room) in &by_room(members) {
            let is_in = self.is_joined(*room);
            match of_room.get(&self.viewer) {
                Some(mine) => {
                    let was_in = self.was_joined(mine).await?;
                    if is_in && !was_in {
                        changed.extend(self.members(*room).await?);
                    } else if was_in && !is_in {
                        gone.extend(self.members(*room).await?);
                        gone.extend(of_room.keys());
                    } else if is_in {
                        self.follow(of_room, &mut changed, &mut gone).await?;
                    }
                }
                None if is_in => self.follow(of_room, &mut changed, &mut gone).await?,
                None => {}
            }
        }
        let own = devices.contains(&self.viewer);
        let others: BTreeSet<UserNid> = devices.into_iter().filter(|user| !changed.contains(user)).collect();
        changed.extend(self.sharing(others).await?);
        gone.retain(|user| !changed.contains(user));
        let still = self.sharing(gone.clone()).await?;
        changed.remove(&self.viewer);
        if own {
            changed.insert(self.viewer);
        }
        Ok(Changes {
            changed: changed.into_iter().collect(),
            left: gone
                .into_iter()
                .filter(|user| *user != self.viewer && !still.contains(user))
                .collect(),
        })
    }

    /// Who has joined or left a room that the viewer is in.
    async fn follow(
        &self,
        of_room: &BTreeMap<UserNid, Moves>,
        changed: &mut BTreeSet<UserNid>,
        gone: &mut BTreeSet<UserNid>,
    ) -> Result<(), ServiceError> {
        for (user, moves) in of_room {
            let is_in = moves.last == Membership::Join;
            match (self.was_joined(moves).await?, is_in) {
                (false, true) => {
                    changed.insert(*user);
                }
                (true, false) => {
                    gone.insert(*user);
                }
                (true, true) | (false, false) => {}
            }
        }
        Ok(())
    }

    async fn was_joined(&self, moves: &Moves) -> Result<bool, ServiceError> {
        let before = self.ctx.store.membership_before(&moves.first).await?;
        Ok(before == Some(Membership::Join))
    }

    /// More has changed than is told apart: everybody is to be asked for again. Who has gone meanwhile is not told.
    async fn everything(&self) -> Result<Changes, ServiceError> {
        let mut changed: BTreeSet<UserNid> = BTreeSet::from([self.viewer]);
        for room in self.joined() {
            changed.extend(self.members(room).await?);
        }
        Ok(Changes {
            changed: changed.into_iter().collect(),
            left: Vec::new(),
        })
    }

    /// Those who share a room with the viewer at the end.
    async fn sharing(&self, mut users: BTreeSet<UserNid>) -> Result<BTreeSet<UserNid>, ServiceError> {
        let mut found = BTreeSet::new();
        if users.len() <= ASKED_ONE_BY_ONE_MAX {
            for user in users {
                let rooms = self.ctx.store.user_rooms_at(user, self.up_to).await?;
                if rooms.with(Membership::Join).any(|(room, _)| self.is_joined(room)) {
                    found.insert(user);
                }
            }
            return Ok(found);
        }
        for room in self.joined() {
            let members = self.ctx.store.room_members_at(room, self.up_to).await?;
            let is_in = |user: UserNid| {
                members
                    .get(user)
                    .is_some_and(|member| member.membership == Membership::Join)
            };
            users.retain(|user| {
                let here = is_in(*user);
                if here {
                    found.insert(*user);
                }
                !here
            });
            if users.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    async fn members(&self, room: RoomNid) -> Result<Vec<UserNid>, ServiceError> {
        let members = self.ctx.store.room_members_at(room, self.up_to).await?;
        Ok(members.with(Membership::Join).map(|(user, _)| user).collect())
    }

    fn joined(&self) -> impl Iterator<Item = RoomNid> {
        self.rooms.with(Membership::Join).map(|(room, _)| room)
    }

    fn is_joined(&self, room: RoomNid) -> bool {
        self.rooms
            .get(room)
            .is_some_and(|entry| entry.membership == Membership::Join)
    }
}

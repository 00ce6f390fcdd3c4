//! What a server that has joined a room is told of it: the state before its join, what allows that, and who else is there.

use std::collections::BTreeSet;

use plexus_core::{
    event::json::write_string,
    ids::{EventNid, RoomNid},
    row::Membership,
};
use plexus_storage::events::StoredEvent;
use ruma::ServerName;

use super::admission::Admitted;
use crate::{Ctx, ServiceError, federation::resident::auth_chain, sync::stripped::describe};

/// Events that are read and written at once.
const EVENTS_AT_ONCE: usize = 500;
/// Most members that are told though members are left out: those whose names stand for the room's.
const HEROES_MAX: usize = 5;
/// About what an event takes up in an answer.
const EVENT_BYTES: usize = 900;

/// The answer to a join, as JSON. With `omit_members`, the state is without most members.
pub async fn write_joined(
    ctx: &Ctx,
    Admitted { room, event }: &Admitted,
    omit_members: bool,
) -> Result<Vec<u8>, ServiceError> {
    let store = &ctx.store;
    let mut state = if omit_members {
        without_members(ctx, room.nid, event).await?
    } else {
        let entries = store.state(room.nid, event.state_before).await?;
        entries.into_iter().map(|(_, event)| event).collect()
    };
    state.sort_unstable();
    let own = event.auth_parents.as_deref().unwrap_or_default();
    let asked: Vec<EventNid> = state
        .iter()
        .chain(own)
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let mut chain: BTreeSet<EventNid> = auth_chain(ctx, room, &asked).await?.into_iter().collect();
    chain.extend(own);
    if omit_members {
        // What is in the state is not said twice to those who know that.
        chain.retain(|event| state.binary_search(event).is_err());
    }
    let mut out = Vec::with_capacity((state.len() + chain.len()) * EVENT_BYTES + 2 * EVENT_BYTES);
    out.extend_from_slice(b"{\"origin\":");
    write_string(&mut out, ctx.config.server_name.as_str());
    out.extend_from_slice(b",\"event\":");
    out.extend_from_slice(event.body.json().as_bytes());
    out.extend_from_slice(b",\"state\":");
    write_events(ctx, &state, &mut out).await?;
    out.extend_from_slice(b",\"auth_chain\":");
    write_events(ctx, &chain.into_iter().collect::<Vec<_>>(), &mut out).await?;
    out.extend_from_slice(format!(",\"members_omitted\":{omit_members}").as_bytes());
    if omit_members {
        out.extend_from_slice(b",\"servers_in_room\":[");
        let servers = store.room_servers_at(room.nid, event.position - 1).await?;
        write_names(servers.iter(), &mut out);
        out.push(b']');
    }
    out.push(b'}');
    Ok(out)
}

/// The answer to a knock, as JSON: what room it is.
pub async fn write_knocked(ctx: &Ctx, Admitted { room, event }: &Admitted) -> Result<Vec<u8>, ServiceError> {
    let shown = describe(ctx, room.nid, event.state_before, event.body.sender()).await?;
    let mut out = b"{\"knock_room_state\":".to_vec();
    write_events(ctx, &shown, &mut out).await?;
    out.push(b'}');
    Ok(out)
}

/// The state before a join without members, but for those whose names make the room's if it has none.
async fn without_members(ctx: &Ctx, room: RoomNid, join: &StoredEvent) -> Result<Vec<EventNid>, ServiceError> {
    let store = &ctx.store;
    let before = join.state_before;
    let others = store.state_without_members(room, before).await?;
    let mut state: Vec<EventNid> = others.values().copied().collect();
    for kind in ["m.room.name", "m.room.canonical_alias"] {
        if store.state_event(room, before, kind, "").await?.is_some() {
            return Ok(state);
        }
    }
    let members = store.room_members_at(room, join.position - 1).await?;
    let is_hero = |membership| matches!(membership, Membership::Join | Membership::Invite);
    let heroes = members.oldest_first().filter(|(_, member)| is_hero(member.membership));
    state.extend(heroes.take(HEROES_MAX).map(|(_, hero)| hero.event));
    Ok(state)
}

async fn write_events(ctx: &Ctx, nids: &[EventNid], out: &mut Vec<u8>) -> Result<(), ServiceError> {
    out.push(b'[');
    for chunk in nids.chunks(EVENTS_AT_ONCE) {
        for event in ctx.store.events(chunk).await? {
            if out.last() != Some(&b'[') {
                out.push(b',');
            }
            out.extend_from_slice(event.body.json().as_bytes());
        }
    }
    out.push(b']');
    Ok(())
}

fn write_names<'a>(names: impl Iterator<Item = &'a ServerName>, out: &mut Vec<u8>) {
    for (place, name) in names.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_string(out, name.as_str());
    }
}

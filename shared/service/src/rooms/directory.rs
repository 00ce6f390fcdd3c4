//! The room directory of this server.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#published-room-directory>

use plexus_core::ids::RoomNid;
use plexus_proto::{self as proto, command::Kind};
use plexus_storage::{
    RoomSummary,
    room_directory::{DirectoryPlace, PAGE_MAX},
    room_heads::RoomSize,
};
use ruma::RoomId;
use serde_json::{Map, Value, json};

use super::{aliases::may_set, summary};
use crate::{Ctx, Requester, ServiceError, ids::new_command};

/// Most rooms of one answer.
const LIMIT_MAX: usize = 1_000;
/// Most rooms that are looked at for one answer; the next page goes on from there.
const SCANNED_MAX: usize = 2_000;

/// What of the directory is asked for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    pub limit: Option<u64>,
    /// A token of an earlier answer.
    pub since: Option<String>,
    /// A word in the name, topic or alias.
    pub term: Option<String>,
    /// Kinds of rooms, nothing for ordinary ones; all if there is no list.
    pub room_types: Option<Vec<Option<String>>>,
    /// Only rooms of a bridged network.
    pub network: Option<String>,
}

/// Whether the directory lists a room.
pub async fn is_listed(ctx: &Ctx, room_id: &RoomId) -> Result<bool, ServiceError> {
    let unknown = || ServiceError::not_found("there is no such room");
    let room = ctx.store.room(room_id).await?.ok_or_else(unknown)?;
    Ok(ctx.store.is_listed(room.nid).await?)
}

/// Puts a room into the directory or takes it out.
pub async fn set_listed(ctx: &Ctx, requester: &Requester, room_id: &RoomId, listed: bool) -> Result<(), ServiceError> {
    let unknown = || ServiceError::not_found("there is no such room");
    let room = ctx.store.room(room_id).await?.ok_or_else(unknown)?;
    if !requester.admin && !may_set(ctx, requester, &room, "m.room.canonical_alias").await? {
        let why = "this needs the power to set the room's m.room.canonical_alias";
        return Err(ServiceError::forbidden(why));
    }
    let command = proto::SetListed {
        room_id: room_id.to_string(),
        listed,
    };
    ctx.replica.run(new_command(Kind::SetListed(command))).await?;
    Ok(())
}

/// A page of the directory, as JSON.
pub async fn list_public_rooms(ctx: &Ctx, search: &Search) -> Result<Value, ServiceError> {
    let total = ctx.store.directory_size().await?;
    if search.network.is_some() {
        // There are no bridged networks here.
        return Ok(json!({"chunk": [], "total_room_count_estimate": 0}));
    }
    let since = search.since.as_deref().map(Token::parse).transpose()?;
    let filter = Filter::of(search);
    let limit = match search.limit {
        None | Some(0) => LIMIT_MAX,
        Some(limit) => usize::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX),
    };
    let page = match since {
        None => forwards(ctx, None, limit, &filter).await?,
        Some(Token::After(place)) => forwards(ctx, Some(place), limit, &filter).await?,
        Some(Token::Before(place)) => backwards(ctx, place, limit, &filter).await?,
    };
    let mut answer = json!({"chunk": page.chunk, "total_room_count_estimate": total});
    if let Some(next) = page.next {
        answer["next_batch"] = Token::After(next).write().into();
    }
    if let Some(previous) = page.previous {
        answer["prev_batch"] = Token::Before(previous).write().into();
    }
    Ok(answer)
}

/// A part of the directory, and between which places it stands, as far as there is anything on the other side of them.
struct Page {
    chunk: Vec<Value>,
    previous: Option<DirectoryPlace>,
    next: Option<DirectoryPlace>,
}

async fn forwards(
    ctx: &Ctx,
    since: Option<DirectoryPlace>,
    limit: usize,
    filter: &Filter,
) -> Result<Page, ServiceError> {
    let (mut last, mut first, mut chunk, mut scanned) = (since, None, Vec::new(), 0);
    let more = 'pages: loop {
        let rooms = ctx.store.directory_after(last).await?;
        for size in &rooms {
            if chunk.len() == limit || scanned == SCANNED_MAX {
                break 'pages true;
            }
            scanned += 1;
            last = Some(place(size));
            if let Some(room) = show(ctx, size, filter).await? {
                first = first.or(last);
                chunk.push(room);
            }
        }
        if !is_full(&rooms) {
            break false;
        }
    };
    // With nothing found, what is before the next place is what is up to this one.
    let previous = since.map(|since| first.unwrap_or(after(since)));
    Ok(Page {
        chunk,
        previous,
        next: last.filter(|_| more),
    })
}

async fn backwards(ctx: &Ctx, since: DirectoryPlace, limit: usize, filter: &Filter) -> Result<Page, ServiceError> {
    let (mut first, mut nearest, mut chunk, mut scanned) = (since, None, Vec::new(), 0);
    let more = 'pages: loop {
        let rooms = ctx.store.directory_before(first).await?;
        for size in &rooms {
            if chunk.len() == limit || scanned == SCANNED_MAX {
                break 'pages true;
            }
            scanned += 1;
            first = place(size);
            if let Some(room) = show(ctx, size, filter).await? {
                nearest = nearest.or(Some(first));
                chunk.push(room);
            }
        }
        if !is_full(&rooms) {
            break false;
        }
    };
    chunk.reverse();
    Ok(Page {
        chunk,
        previous: more.then_some(first),
        next: nearest,
    })
}

fn is_full(rooms: &[RoomSize]) -> bool {
    i64::try_from(rooms.len()).is_ok_and(|rooms| rooms >= PAGE_MAX)
}

fn place(size: &RoomSize) -> DirectoryPlace {
    DirectoryPlace {
        joined: size.joined,
        room: size.room,
    }
}

/// The place right behind another.
fn after(place: DirectoryPlace) -> DirectoryPlace {
    DirectoryPlace {
        room: RoomNid(place.room.0.saturating_add(1)),
        ..place
    }
}

/// The room as the directory shows it, if it does and if it is wanted.
async fn show(ctx: &Ctx, size: &RoomSize, filter: &Filter) -> Result<Option<Value>, ServiceError> {
    let room = ctx.store.room_by_nid(size.room).await?;
    let room = room.ok_or_else(|| ServiceError::internal("the directory lists an unknown room"))?;
    let summary = ctx.store.room_summary(size.room, size.root).await?;
    let can_be_met = summary.world_readable || matches!(summary.join_rule(), "public" | "knock" | "knock_restricted");
    if !can_be_met || !filter.keeps(&summary) {
        return Ok(None);
    }
    let shown: Map<String, Value> = summary::show(&room, &summary, size.joined);
    Ok(Some(Value::Object(shown)))
}

/// Which rooms are wanted.
#[derive(Debug)]
struct Filter {
    term: Option<String>,
    room_types: Option<Vec<Option<String>>>,
}

impl Filter {
    fn of(search: &Search) -> Self {
        Self {
            term: search
                .term
                .as_ref()
                .map(|term| term.to_lowercase())
                .filter(|term| !term.is_empty()),
            room_types: search.room_types.clone(),
        }
    }

    fn keeps(&self, room: &RoomSummary) -> bool {
        let has_type = self
            .room_types
            .as_ref()
            .is_none_or(|types| types.contains(&room.room_type));
        let has_term = self.term.as_ref().is_none_or(|term| {
            let texts = [&room.name, &room.topic, &room.canonical_alias];
            texts
                .into_iter()
                .flatten()
                .any(|text| text.to_lowercase().contains(term))
        });
        has_type && has_term
    }
}

/// Where a page begins or ends, as clients keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    After(DirectoryPlace),
    Before(DirectoryPlace),
}

impl Token {
    fn write(self) -> String {
        let (direction, place) = match self {
            Self::After(place) => ('n', place),
            Self::Before(place) => ('p', place),
        };
        format!("{direction}{}~{}", place.joined, place.room.0)
    }

    fn parse(text: &str) -> Result<Self, ServiceError> {
        let read = || {
            let place = text.strip_prefix(['n', 'p'])?;
            let (joined, room) = place.split_once('~')?;
            let place = DirectoryPlace {
                joined: joined.parse().ok()?,
                room: RoomNid(room.parse().ok()?),
            };
            Some(if text.starts_with('n') {
                Self::After(place)
            } else {
                Self::Before(place)
            })
        };
        read().ok_or_else(|| ServiceError::invalid_param("since is no token of this directory"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_they_are_written() {
        let place = DirectoryPlace {
            joined: 12,
            room: RoomNid(7),
        };
        for token in [Token::After(place), Token::Before(place)] {
            assert_eq!(Token::parse(&token.write()).ok(), Some(token));
        }
        for broken in ["", "n", "n1", "x1~2", "n1~", "n~2", "p1~2~3", "nñ~1"] {
            assert!(Token::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_filter_looks_at_texts_and_types() {
        let room = RoomSummary {
            topic: Some("Wombles of WIMBLEDON".to_owned()),
            ..RoomSummary::default()
        };
        let keeps = |search: Search| Filter::of(&search).keeps(&room);
        let term = |term: &str| Search {
            term: Some(term.to_owned()),
            ..Search::default()
        };
        assert!(keeps(Search::default()) && keeps(term("")) && keeps(term("wimble")));
        assert!(!keeps(term("wobble")));
        let types = |types: Vec<Option<String>>| Search {
            room_types: Some(types),
            ..Search::default()
        };
        assert!(keeps(types(vec![None])));
        assert!(!keeps(types(vec![Some("m.space".to_owned())])) && !keeps(types(Vec::new())));
    }
}

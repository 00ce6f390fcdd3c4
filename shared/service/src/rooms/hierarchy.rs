//! The rooms of a space, and of the spaces in it.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy>
//!
//! A page is found by walking from the top again: the walk is the same as long as the spaces are, costs a look into two caches for each room, and nothing has
//! to be kept between pages.

mod walk;

use std::{collections::HashSet, sync::Arc};

use plexus_storage::events::StoredEvent;
use ruma::{OwnedRoomId, RoomId};
use serde_json::{Value, json};

use self::walk::{Child, Walk};
use super::{standing::outside, summary::Visible};
use crate::{Ctx, Requester, ServiceError};

/// Most rooms of one page, and how many there are if the client does not say.
const LIMIT_MAX: usize = 50;
/// Most rooms that one space and all in it are walked through to.
const WALKED_MAX: usize = 1_000;
/// Most rooms that wait to be walked to.
const WAITING_MAX: usize = 5_000;
/// Longest `order` that counts, in characters.
const ORDER_CHARS_MAX: usize = 50;

/// What of a space is asked for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub limit: Option<u64>,
    pub max_depth: Option<u64>,
    pub suggested_only: bool,
    /// A token of an earlier answer to the same question.
    pub from: Option<String>,
}

/// A page of a space's rooms, as JSON.
pub async fn get_hierarchy(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    wish: &Wish,
) -> Result<Value, ServiceError> {
    let from = start(wish)?;
    let limit = match wish.limit {
        None => LIMIT_MAX,
        Some(0) => return Err(ServiceError::invalid_param("limit has to be more than nothing")),
        Some(limit) => usize::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX),
    };
    let mut walk = Walk::new(ctx, requester, wish.suggested_only);
    let mut waiting: Vec<(Child, u64)> = vec![(Child::named(room_id), 0)];
    let mut seen: HashSet<OwnedRoomId> = HashSet::new();
    let (mut walked, mut rooms, mut next) = (0, Vec::new(), None);
    while let Some((child, depth)) = waiting.pop() {
        if walked == WALKED_MAX {
            break;
        }
        if !seen.insert(child.room_id.clone()) {
            continue;
        }
        let Some(stop) = walk.visit(&child).await? else {
            // The first is what is asked about.
            if walked == 0 {
                return Err(outside());
            }
            continue;
        };
        if rooms.len() == limit {
            next = Some(walked);
            break;
        }
        if wish.max_depth.is_none_or(|max_depth| depth < max_depth) {
            // The first child is walked to first.
            let below = stop.children.into_iter().rev();
            let room_left = WAITING_MAX.saturating_sub(waiting.len());
            waiting.extend(below.map(|child| (child, depth + 1)).take(room_left));
        }
        if walked >= from {
            rooms.push(stop.shown);
        }
        walked += 1;
    }
    let mut answer = json!({"rooms": rooms});
    if let Some(next) = next {
        answer["next_batch"] = format!("{next}~{}", question(wish)).into();
    }
    Ok(answer)
}

/// How many rooms of the walk earlier pages had.
fn start(wish: &Wish) -> Result<usize, ServiceError> {
    let Some(from) = &wish.from else { return Ok(0) };
    let broken = || ServiceError::invalid_param("from is no token of this question");
    let (start, asked) = from.split_once('~').ok_or_else(broken)?;
    if asked != question(wish) {
        return Err(broken());
    }
    start.parse().map_err(|_| broken())
}

/// What has to stay the same from page to page.
fn question(wish: &Wish) -> String {
    let depth = wish.max_depth.map_or_else(|| "-".to_owned(), |depth| depth.to_string());
    format!("{depth}~{}", u8::from(wish.suggested_only))
}

/// A space's children in the order of the specification; nothing else has any.
pub(crate) async fn children(
    ctx: &Ctx,
    room: &Visible,
    suggested_only: bool,
) -> Result<Vec<Arc<StoredEvent>>, ServiceError> {
    if room.summary.room_type.as_deref() != Some("m.space") {
        return Ok(Vec::new());
    }
    let mut children = ctx.store.space_children(room.room.nid, room.root).await?;
    if suggested_only {
        children.retain(|child| content(child)["suggested"] == true);
    }
    children.sort_by_cached_key(|child| {
        let order = order(child);
        let ts = child.body.origin_server_ts();
        (order.is_none(), order, ts, child.body.state_key().map(str::to_owned))
    });
    Ok(children)
}

fn content(child: &StoredEvent) -> Value {
    child.body.content_as().unwrap_or_default()
}

/// The `order` of a child, if it is one.
fn order(child: &StoredEvent) -> Option<String> {
    valid_order(child.body.content_string("order")?)
}

fn valid_order(order: String) -> Option<String> {
    let is_valid = order.len() <= ORDER_CHARS_MAX && order.chars().all(|c| matches!(c, ' '..='~'));
    is_valid.then_some(order)
}

/// The room that a child event names.
pub(crate) fn target(child: &StoredEvent) -> Option<OwnedRoomId> {
    child.body.state_key()?.try_into().ok()
}

/// A room with its children, as spaces show it.
pub(crate) fn show(room: &Visible, children: &[Arc<StoredEvent>]) -> Value {
    let children = children.iter().map(|child| {
        json!({
            "type": child.body.kind(),
            "state_key": child.body.state_key(),
            "content": content(child),
            "sender": child.body.sender(),
            "origin_server_ts": child.body.origin_server_ts(),
        })
    });
    let mut shown = room.show();
    shown.insert("children_state".to_owned(), children.collect());
    Value::Object(shown)
}

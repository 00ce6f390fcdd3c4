//! The threads of a room.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidthreads>

use std::sync::Arc;

use plexus_storage::events::StoredEvent;
use ruma::RoomId;

use super::{
    access::{Seen, Sights, View, view_room},
    messages::{token, write_member},
    page::open_token,
    present::{Remarks, Style},
};
use crate::{
    Ctx, Requester, ServiceError,
    users::ignored::{Ignored, ignored_by},
};

/// Threads of a page whose client asks for no number.
const LIMIT_DEFAULT: usize = 20;

/// Most threads of one page.
const LIMIT_MAX: usize = 100;

/// Most reads for one page: who has taken part in few of many threads gets short pages.
const READS_MAX: usize = 5;

/// What is asked for.
#[derive(Debug)]
pub struct ThreadsRequest {
    /// Only threads that the requester has said something in.
    pub participated: bool,
    pub from: Option<String>,
    pub limit: Option<usize>,
}

/// One page of the beginnings of a room's threads, those with the latest replies first, as JSON.
pub async fn list_threads(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    request: &ThreadsRequest,
) -> Result<Vec<u8>, ServiceError> {
    if request.limit == Some(0) {
        return Err(ServiceError::invalid_param("limit must be greater than 0"));
    }
    let from = open_token(ctx, request.from.as_deref()).await?;
    let view = view_room(ctx, requester, room_id).await?;
    let before = match from {
        Some(place) => place.order(ctx, &view).await?,
        None => i64::MAX,
    };
    let mut sights = Sights::new(ctx, requester, &view);
    let (roots, next) = collect(ctx, requester, &mut sights, &view, before, request).await?;
    let style = Style::default();
    let remarks = Remarks::read(ctx, requester, &mut sights, style, &roots, Some(view.up_to)).await?;
    let mut out = b"{\"chunk\":".to_vec();
    remarks.write_list(ctx, requester, style, &roots, &mut out);
    if let Some(next) = next {
        write_member(&mut out, "next_batch", &token(ctx, next));
    }
    out.push(b'}');
    Ok(out)
}

/// The threads of a page, and where the next one begins if there is one.
async fn collect(
    ctx: &Ctx,
    requester: &Requester,
    sights: &mut Sights<'_>,
    view: &View,
    mut before: i64,
    request: &ThreadsRequest,
) -> Result<(Vec<Seen>, Option<i64>), ServiceError> {
    let limit = request.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
    let mut roots = Vec::with_capacity(limit);
    let ignored = ignored_by(ctx, requester.user).await?;
    for _ in 0..READS_MAX {
        let threads = ctx.store.threads(view.room.nid, before, view.up_to, limit + 1).await?;
        let nids: Vec<_> = threads.iter().map(|(root, _)| *root).collect();
        let events = ctx.store.events(&nids).await?;
        let wanted = wanted(ctx, requester, view, request, &events).await?;
        for ((root, (_, latest)), wanted) in events.iter().zip(&threads).zip(wanted) {
            if roots.len() == limit {
                return Ok((roots, Some(before)));
            }
            before = *latest;
            if wanted {
                roots.extend(sights.look(root).await?.map(|seen| muted(&ignored, seen, view)));
            }
        }
        if threads.len() <= limit {
            return Ok((roots, None));
        }
    }
    Ok((roots, Some(before)))
}

/// The beginning of a thread by somebody who is ignored has no content, as the specification wants it.
fn muted(ignored: &Ignored, seen: Seen, view: &View) -> Seen {
    if !ignored.contains(seen.event.body.sender()) {
        return seen;
    }
    let body = Arc::new(seen.event.body.redacted(view.room.version.rules()));
    let event = StoredEvent {
        body,
        ..StoredEvent::clone(&seen.event)
    };
    Seen {
        event: Arc::new(event),
        ..seen
    }
}

/// For each event that replies point to, whether it begins a thread that is asked for.
async fn wanted(
    ctx: &Ctx,
    requester: &Requester,
    view: &View,
    request: &ThreadsRequest,
    roots: &[Arc<StoredEvent>],
) -> Result<Vec<bool>, ServiceError> {
    // What relates to another event itself begins no thread.
    let begins = |root: &StoredEvent| root.body.relation().is_none();
    if !request.participated {
        return Ok(roots.iter().map(|root| begins(root)).collect());
    }
    let nids: Vec<_> = roots.iter().map(|root| root.nid).collect();
    let (rel_types, senders) = (["m.thread".to_owned()], [requester.user]);
    let joined_in = ctx
        .store
        .related_by(&nids, Some(&rel_types), Some(&senders), view.up_to)
        .await?;
    let has_part = |root: &StoredEvent| root.sender == requester.user || joined_in.binary_search(&root.nid).is_ok();
    Ok(roots.iter().map(|root| begins(root) && has_part(root)).collect())
}

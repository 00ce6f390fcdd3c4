//! Telling those who run the server that something is not as it should be.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#reporting-content>

use plexus_storage::reports::{self, Report};
use ruma::{EventId, RoomId, UserId};

use crate::{
    Ctx, Requester, ServiceError,
    error::Refusal,
    rooms::access::{Sights, view_room},
};

/// Longest reason.
const REASON_BYTES_MAX: usize = 16 << 10;
/// Reports a user can make in a day.
const PER_DAY_MAX: i64 = 200;
const DAY_MS: i64 = 24 * 3_600_000;

/// What is said about it.
#[derive(Clone, Debug, Default)]
pub struct Complaint {
    pub reason: Option<String>,
    /// How bad it is, as old clients say it.
    pub score: Option<i64>,
}

/// Reports an event, in a room the requester is in, that he may see.
pub async fn report_event(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    event_id: &EventId,
    complaint: Complaint,
) -> Result<(), ServiceError> {
    let not_found = || ServiceError::not_found("there is no such event, or you are not in its room");
    let view = match view_room(ctx, requester, room_id).await {
        Ok(view) if view.membership == Some(plexus_core::row::Membership::Join) => view,
        Ok(_)
        | Err(ServiceError::Refused {
            kind: Refusal::Forbidden,
            ..
        }) => return Err(not_found()),
        Err(error) => return Err(error),
    };
    let event = ctx
        .store
        .event_nid(view.room.nid, event_id)
        .await?
        .ok_or_else(not_found)?;
    let event = ctx.store.event(event).await?.ok_or_else(not_found)?;
    if !Sights::new(ctx, requester, &view).sees(&event).await? {
        return Err(not_found());
    }
    let report = Report {
        room: Some(event.room),
        event: Some(event.nid),
        user: Some(event.sender),
        ..new_report(ctx, requester, complaint).await?
    };
    Ok(reports::insert(ctx.store.db(), &report).await?)
}

/// Reports a room, which the requester need not be in.
pub async fn report_room(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    complaint: Complaint,
) -> Result<(), ServiceError> {
    let room = ctx.store.room(room_id).await?;
    let room = room.ok_or_else(|| ServiceError::not_found("there is no such room"))?;
    let report = Report {
        room: Some(room.nid),
        ..new_report(ctx, requester, complaint).await?
    };
    Ok(reports::insert(ctx.store.db(), &report).await?)
}

/// Reports a user.
pub async fn report_user(
    ctx: &Ctx,
    requester: &Requester,
    user_id: &UserId,
    complaint: Complaint,
) -> Result<(), ServiceError> {
    let user = ctx.store.user_nid(user_id).await?;
    let user = user.ok_or_else(|| ServiceError::not_found("there is no such user"))?;
    let report = Report {
        user: Some(user),
        ..new_report(ctx, requester, complaint).await?
    };
    Ok(reports::insert(ctx.store.db(), &report).await?)
}

/// A report of nothing yet.
async fn new_report(ctx: &Ctx, requester: &Requester, complaint: Complaint) -> Result<Report, ServiceError> {
    let reason = complaint.reason.unwrap_or_default();
    if reason.len() > REASON_BYTES_MAX {
        return Err(ServiceError::refused(
            Refusal::TooLarge,
            "the reason is longer than 16 KiB",
        ));
    }
    let now_ms = ctx.clock.now_ms();
    if reports::count_since(ctx.store.db(), requester.user, now_ms - DAY_MS).await? >= PER_DAY_MAX {
        return Err(ServiceError::refused(
            Refusal::LimitExceeded,
            "you have reported a lot today; those who run the server will look at it",
        ));
    }
    Ok(Report {
        id: rand::random::<i64>() & i64::MAX,
        created_ms: now_ms,
        reporter: requester.user,
        room: None,
        event: None,
        user: None,
        score: complaint.score,
        reason,
    })
}

//! How much of a room is unread.

use plexus_core::event::json::write_string;

use super::{
    event::{push_comma, write_number},
    scope::Scope,
    visits::{Visit, VisitKind},
};
use crate::{
    ServiceError,
    push::unread::{Counts, Reader, count},
};

/// Appends the member `unread_notifications`, and `unread_thread_notifications` if threads are counted apart; whether the user has read something since he
/// was told last, which is news even if nothing else is.
pub(super) async fn write(scope: &Scope<'_>, visit: &Visit, out: &mut Vec<u8>) -> Result<bool, ServiceError> {
    let by_thread = scope.filter.room.timeline.unread_thread_notifications;
    let reader = Reader {
        user: scope.requester.user,
        user_id: &scope.requester.user_id,
        room: &visit.room,
        member: visit.member,
    };
    let unread = count(scope.ctx, reader, scope.window.up_to, by_thread).await?;
    out.extend_from_slice(b"\"unread_notifications\":");
    write_counts(unread.room, out);
    if !unread.threads.is_empty() {
        out.extend_from_slice(b",\"unread_thread_notifications\":{");
        for (thread, counts) in &unread.threads {
            push_comma(out);
            write_string(out, thread);
            out.push(b':');
            write_counts(*counts, out);
        }
        out.push(b'}');
    }
    has_read(scope, visit).await
}

fn write_counts(counts: Counts, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"highlight_count\":");
    write_number(out, counts.highlights);
    out.extend_from_slice(b",\"notification_count\":");
    write_number(out, counts.notifications);
    out.push(b'}');
}

async fn has_read(scope: &Scope<'_>, visit: &Visit) -> Result<bool, ServiceError> {
    let (after, up_to) = (scope.window.after(), scope.window.up_to);
    if visit.kind != VisitKind::Joined || scope.ctx.store.last_change(visit.room.nid) <= after {
        return Ok(false);
    }
    let receipts = scope.ctx.store.receipts(visit.room.nid).await?;
    let mut own = receipts.of_user(scope.requester.user);
    Ok(own.any(|(place, _)| place > after && place <= up_to))
}

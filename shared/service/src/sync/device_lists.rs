//! Whose devices and keys have changed.

use plexus_core::{event::json::write_string, ids::UserNid};

use super::{event::push_comma, scope::Scope};
use crate::{
    ServiceError,
    e2e::changes::{Changes, changes_between},
};

/// Appends the member `device_lists`; whether there is anything new. A device that has been told nothing yet asks for everything itself.
pub(super) async fn write(scope: &Scope<'_>, out: &mut Vec<u8>) -> Result<bool, ServiceError> {
    let Some(since) = scope.window.since else {
        return Ok(false);
    };
    let changes = changes_between(scope.ctx, scope.requester.user, since.position, scope.window.up_to).await?;
    let Changes { changed, left } = &changes;
    if changed.is_empty() && left.is_empty() {
        return Ok(false);
    }
    push_comma(out);
    out.extend_from_slice(b"\"device_lists\":{");
    for (name, users) in [("changed", changed), ("left", left)] {
        push_comma(out);
        write_string(out, name);
        out.extend_from_slice(b":[");
        write_users(scope, users, out).await?;
        out.push(b']');
    }
    out.push(b'}');
    Ok(true)
}

async fn write_users(scope: &Scope<'_>, users: &[UserNid], out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let user_ids = scope.ctx.store.user_ids(users).await?;
    for user_id in user_ids.iter().flatten() {
        push_comma(out);
        write_string(out, user_id.as_str());
    }
    Ok(())
}

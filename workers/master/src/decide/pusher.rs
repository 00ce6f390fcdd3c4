//! Pushers of local users.

use plexus_core::row::Row;
use plexus_proto::{DeletePusher, SetPusher};
use plexus_storage::pushers::{self, PUSHERS_PER_USER_MAX, Pusher, PusherKey};

use super::{Decision, event::user_id};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, forbidden, not_found},
    leader::Leader,
};

/// Makes a pusher or changes it. Other users lose theirs with the same key, unless the client wants both.
pub(super) async fn set_pusher(leader: &Leader, command: &SetPusher) -> Result<Decision, CommandError> {
    let key = key(leader, &command.user_id, &command.app_id, &command.pushkey).await?;
    let own = leader.store.pushers(key.user).await?;
    let is_new = own.iter().all(|pusher| pusher.key != key);
    if is_new && i64::try_from(own.len()).is_ok_and(|pushers| pushers >= PUSHERS_PER_USER_MAX) {
        return Err(forbidden("You have too many pushers"));
    }
    let mut change = ChangeSet::default();
    if !command.append {
        let same_key = leader.store.pushers_of_key(&key.app_id, &key.pushkey).await?;
        for other in same_key.iter().filter(|other| other.user != key.user) {
            remove(other, &mut change);
        }
    }
    let user = key.user;
    let pusher = Pusher {
        key,
        device_id: command.device_id.as_str().into(),
        position: 0,
        app_display_name: command.app_display_name.clone(),
        device_display_name: command.device_display_name.clone(),
        profile_tag: command.profile_tag.clone(),
        lang: command.lang.clone(),
        data: command.data.clone(),
    };
    change.statements.push(pushers::upsert(&pusher, change.next_sequence()));
    change.rows.push(Row::Pusher { user });
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

/// Removes a pusher, if it is there.
pub(super) async fn delete_pusher(leader: &Leader, command: &DeletePusher) -> Result<Decision, CommandError> {
    let key = key(leader, &command.user_id, &command.app_id, &command.pushkey).await?;
    let mut change = ChangeSet::default();
    if leader
        .store
        .pushers(key.user)
        .await?
        .iter()
        .any(|pusher| pusher.key == key)
    {
        remove(&key, &mut change);
    }
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

fn remove(key: &PusherKey, change: &mut ChangeSet) {
    change.statements.extend(pushers::delete(key));
    change.rows.push(Row::Pusher { user: key.user });
}

async fn key(leader: &Leader, user: &str, app_id: &str, pushkey: &str) -> Result<PusherKey, CommandError> {
    let user = leader.store.user_nid(user_id(user)?).await?;
    Ok(PusherKey {
        user: user.ok_or_else(|| not_found("There is no such user"))?,
        app_id: app_id.to_owned(),
        pushkey: pushkey.to_owned(),
    })
}

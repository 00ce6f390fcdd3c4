//! Whom a user does not want to hear: the account data `m.ignored_user_list`.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#ignoring-users>

use std::{collections::HashSet, sync::Arc};

use plexus_core::ids::UserNid;
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Ctx, ServiceError};

/// The type of account data.
pub const KIND: &str = "m.ignored_user_list";

/// The users that one user ignores. By id: he may ignore people this server has never heard of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored(Option<Arc<HashSet<OwnedUserId>>>);

impl Ignored {
    /// Whether nobody is ignored, as most people have it.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Everybody who is ignored.
    pub fn user_ids(&self) -> impl Iterator<Item = &UserId> {
        self.0.iter().flat_map(|ignored| ignored.iter().map(AsRef::as_ref))
    }

    /// Whether a user is ignored.
    pub fn contains(&self, user_id: &UserId) -> bool {
        self.0.as_ref().is_some_and(|ignored| ignored.contains(user_id))
    }
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    ignored_users: Map<String, Value>,
}

/// Whom a user ignores now. From memory, but for the first time.
pub async fn ignored_by(ctx: &Ctx, user: UserNid) -> Result<Ignored, ServiceError> {
    let Some(entry) = ctx.store.account_data(user, None, KIND).await? else {
        return Ok(Ignored::default());
    };
    if let Some((position, ignored)) = ctx.user_memory.caches().ignored.get(&user)
        && position == entry.position
    {
        return Ok(ignored);
    }
    // It is what a client has set, and may be anything.
    let content: Option<Content> = serde_json::from_str(entry.content.get()).ok();
    let names = content.map(|content| content.ignored_users).unwrap_or_default();
    let own = ctx.store.user_id(user).await?;
    let ignored: HashSet<OwnedUserId> = names
        .into_iter()
        .filter_map(|(name, _)| OwnedUserId::try_from(name).ok())
        .filter(|user_id| Some(user_id) != own.as_ref())
        .collect();
    let ignored = Ignored(Some(ignored).filter(|ignored| !ignored.is_empty()).map(Arc::new));
    ctx.user_memory
        .caches()
        .ignored
        .insert(user, (entry.position, ignored.clone()));
    Ok(ignored)
}

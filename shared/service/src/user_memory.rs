//! What is worked out from users' account data, receipts and rooms, and kept in memory with the place in the log it was worked out at. Nothing here has to be
//! invalidated: who finds an entry of another place works it out again.

use std::{fmt, sync::Arc};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
};
use quick_cache::{Weighter, sync::Cache};

use crate::{
    push::{rules::UserRules, unread::Known},
    users::ignored::Ignored,
};

/// Most users whose ignored users are kept; a list has at most a few thousand names.
const IGNORED_MAX: usize = 2_000;
/// Most bytes of compiled push rules, about.
const RULES_BYTES_MAX: u64 = 32 << 20;
/// Most pairs of user and room whose unread events are kept; most have none, a few have hundreds.
const UNREAD_MAX: usize = 50_000;
/// What the rules of a user without rules of his own take up, about.
pub(crate) const DEFAULT_RULES_BYTES: u64 = 8 << 10;

/// Bounded caches, shared by all requests of a process. Cheap to clone.
#[derive(Clone)]
pub struct UserMemory(Arc<Caches>);

pub(crate) struct Caches {
    pub(crate) ignored: Cache<UserNid, (Sequence, Ignored)>,
    pub(crate) rules: Cache<UserNid, (Sequence, Arc<UserRules>), RulesWeight>,
    pub(crate) unread: Cache<(UserNid, RoomNid), Arc<Known>>,
}

/// Weighs the rules of a user.
#[derive(Clone)]
pub(crate) struct RulesWeight;

impl Weighter<UserNid, (Sequence, Arc<UserRules>)> for RulesWeight {
    fn weight(&self, _: &UserNid, (_, rules): &(Sequence, Arc<UserRules>)) -> u64 {
        rules.bytes
    }
}

impl Default for UserMemory {
    fn default() -> Self {
        let users = usize::try_from(RULES_BYTES_MAX / DEFAULT_RULES_BYTES).unwrap_or(1_000);
        Self(Arc::new(Caches {
            ignored: Cache::new(IGNORED_MAX),
            rules: Cache::with_weighter(users, RULES_BYTES_MAX, RulesWeight),
            unread: Cache::new(UNREAD_MAX),
        }))
    }
}

impl UserMemory {
    pub(crate) fn caches(&self) -> &Caches {
        &self.0
    }
}

impl fmt::Debug for UserMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserMemory").finish_non_exhaustive()
    }
}

//! Finding messages.
//!
//! A search finds events that have all words of the term, in rooms the user is or was in, if he may see them. The events come from an index that is derived
//! from the log ([`index`]); whether he may see one is asked of the room as it was then, as everywhere.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#server-side-search>

mod answer;
pub(crate) mod index;
mod looking;
mod request;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use plexus_core::{ids::UserNid, words::words};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

pub use self::request::SearchRequest;
use self::{answer::write_answer, looking::look};
use crate::{
    Ctx, Requester, ServiceError,
    derived::{Derived, catch_up},
    error::Refusal,
};

/// Words of a term that count.
const TERM_WORDS_MAX: usize = 32;
/// How long a search waits for the index.
const CATCH_UP_MAX: Duration = Duration::from_secs(3);
/// Searches that run at once in a process: they leave readers of the database to others.
const AT_ONCE_MAX: usize = 2;
/// How long one waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(20);

/// Whose turn it is to search. Cheap to clone.
#[derive(Clone)]
pub struct Searches {
    turns: Arc<Semaphore>,
    /// Who searches or waits for it: each user once.
    users: Arc<Mutex<HashSet<UserNid>>>,
}

impl Default for Searches {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            users: Arc::default(),
        }
    }
}

impl fmt::Debug for Searches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Searches")
    }
}

/// A user's place among those who search, while it is held.
struct Place<'a>(&'a Searches, UserNid);

impl Searches {
    fn enter(&self, user: UserNid) -> Result<Place<'_>, ServiceError> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if !users.insert(user) {
            return Err(ServiceError::refused(
                Refusal::LimitExceeded,
                "another search of yours is still running",
            ));
        }
        Ok(Place(self, user))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0
            .users
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.1);
    }
}

/// Searches, and writes the answer as JSON.
pub async fn search(
    ctx: &Ctx,
    requester: &Requester,
    request: &SearchRequest,
    next_batch: Option<&str>,
) -> Result<Vec<u8>, ServiceError> {
    if !ctx.config.social.search {
        return Err(ServiceError::Matrix {
            status: 400,
            errcode: "M_UNKNOWN".to_owned(),
            error: "messages cannot be searched on this server".to_owned(),
        });
    }
    let Some(criteria) = request.criteria(next_batch)? else {
        return Ok(br#"{"search_categories":{}}"#.to_vec());
    };
    let _place = ctx.searches.enter(requester.user)?;
    let busy = || ServiceError::Unavailable("too many searches are running".to_owned());
    let turn = timeout(TURN_MAX, ctx.searches.turns.acquire())
        .await
        .map_err(|_| busy())?;
    let _turn = turn.map_err(|_| busy())?;
    let words = words(&criteria.term, TERM_WORDS_MAX);
    // What was sent before the search is found by it, whichever process took it; without the master, what this process knows of.
    let _ = ctx.replica.head().await;
    if !catch_up(ctx, Derived::Search, Instant::now() + CATCH_UP_MAX).await? {
        tracing::warn!("the index of messages is behind, a search was answered from what it has");
    }
    let found = look(ctx, requester, &criteria, &words).await?;
    write_answer(ctx, requester, &criteria, words, &found).await
}

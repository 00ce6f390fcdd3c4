//! The user directory: finding people by how they are called.
//!
//! One finds those one shares a room with, and those who are in a room that anybody may join or read. Every word of the term has to begin a word of the
//! display name or of the user id; case and accents do not count. The order is
//!
//! 1. by how well they fit: the term is the whole user id, display name or local part; then each word of it is a whole word; then the others;
//! 2. those one shares a room with before others;
//! 3. those with a display name before those without;
//! 4. by user id.
//!
//! The directory is derived from the log ([`derived`](crate::derived)). `plexus db rebuild-user-directory` empties it; the server makes it anew.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#user-directory>

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use plexus_core::{
    ids::{RoomNid, UserNid},
    row::{Membership, Row},
    visibility::HistoryVisibility,
    words::words,
};
use plexus_storage::{
    db::Statement,
    user_directory::{self as table, Listed},
};
use ruma::{OwnedUserId, UserId};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    Ctx, Requester, ServiceError,
    derived::{Derived, catch_up},
    rooms::access::now,
};

/// Results of a search that asks for no number.
pub const LIMIT_DEFAULT: usize = 10;
/// Most results.
pub const LIMIT_MAX: usize = 50;
/// How long a search waits for the directory.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);
/// Words of a term that count, and of the names of a user.
const WORDS_MAX: usize = 16;
/// Users in open rooms that are considered, in the order of the words that fit.
const CANDIDATES_MAX: i64 = 1_000;
/// People in one's own rooms that are considered: those of the smallest rooms.
const PEERS_MAX: usize = 20_000;
/// Users in one query.
const USERS_PER_QUERY: usize = 1_000;
/// Users written in one transaction.
const USERS_PER_WRITE: usize = 50;

#[derive(Serialize)]
struct Result_ {
    user_id: OwnedUserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
}

/// Finds people. The answer as JSON.
pub async fn search_users(
    ctx: &Ctx,
    requester: &Requester,
    term: &str,
    limit: Option<usize>,
) -> Result<Vec<u8>, ServiceError> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let wanted = Wanted::new(term);
    let mut results = Vec::new();
    if let Some(longest) = wanted.words.iter().max_by_key(|word| word.len()) {
        if !catch_up(ctx, Derived::UserDirectory, Instant::now() + CATCH_UP_MAX).await? {
            tracing::warn!("the user directory is behind, a search was answered from what it has");
        }
        let peers = peers(ctx, requester).await?;
        let candidates = candidates(ctx, longest, &peers).await?;
        results = rank(ctx, &wanted, &peers, candidates).await?;
    }
    let limited = results.len() > limit;
    results.truncate(limit);
    let answer = json!({"results": results, "limited": limited});
    Ok(answer.to_string().into_bytes())
}

/// What is looked for.
struct Wanted {
    whole: String,
    words: Vec<String>,
}

impl Wanted {
    fn new(term: &str) -> Self {
        let term = term.trim();
        // Of a user id, the part before the colon: the rest would be a word of everybody.
        let name = term
            .strip_prefix('@')
            .map_or(term, |id| id.split(':').next().unwrap_or(id));
        Self {
            whole: term.to_lowercase(),
            words: words(name, WORDS_MAX),
        }
    }

    /// How well a user fits, 0 the best; none if he does not.
    fn fit(&self, user_id: &UserId, listed: &Listed) -> Option<u8> {
        let names = names(user_id, listed.display_name.as_deref());
        if !self
            .words
            .iter()
            .all(|word| names.iter().any(|name| name.starts_with(word)))
        {
            return None;
        }
        let is_whole = |name: &str| name.to_lowercase() == self.whole;
        let display_name = listed.display_name.as_deref();
        if is_whole(user_id.as_str()) || is_whole(user_id.localpart()) || display_name.is_some_and(is_whole) {
            Some(0)
        } else if self.words.iter().all(|word| names.contains(word)) {
            Some(1)
        } else {
            Some(2)
        }
    }
}

/// The words a user is found by.
fn names(user_id: &UserId, display_name: Option<&str>) -> Vec<String> {
    let mut names = words(user_id.localpart(), WORDS_MAX);
    names.extend(words(display_name.unwrap_or_default(), WORDS_MAX));
    names.sort_unstable();
    names.dedup();
    names
}

/// Those who share a room with the requester.
async fn peers(ctx: &Ctx, requester: &Requester) -> Result<HashSet<UserNid>, ServiceError> {
    let rooms = ctx.store.user_rooms(requester.user).await?;
    let mut members = Vec::new();
    for (room, _) in rooms.with(Membership::Join) {
        members.push(ctx.store.room_members(room).await?);
    }
    members.sort_unstable_by_key(|members| members.joined());
    let mut peers = HashSet::new();
    for members in members {
        for (user, _) in members.with(Membership::Join) {
            if peers.len() >= PEERS_MAX {
                return Ok(peers);
            }
            if user != requester.user {
                peers.insert(user);
            }
        }
        // A room with many members is gone through without waiting for anything.
        tokio::task::yield_now().await;
    }
    Ok(peers)
}

/// Those with a word that begins so whom the requester may find.
async fn candidates(ctx: &Ctx, prefix: &str, peers: &HashSet<UserNid>) -> Result<BTreeSet<UserNid>, ServiceError> {
    let db = ctx.store.db();
    let only_open = !ctx.config.social.search_all_users;
    let open = table::with_prefix(db, prefix, only_open, CANDIDATES_MAX).await?;
    let mut candidates: BTreeSet<UserNid> = open.into_iter().collect();
    let peers: Vec<i64> = peers.iter().map(|user| user.0).collect();
    for these in peers.chunks(USERS_PER_QUERY) {
        candidates.extend(table::of_these_with_prefix(db, these.to_vec(), prefix).await?);
    }
    Ok(candidates)
}

async fn rank(
    ctx: &Ctx,
    wanted: &Wanted,
    peers: &HashSet<UserNid>,
    candidates: BTreeSet<UserNid>,
) -> Result<Vec<Result_>, ServiceError> {
    let candidates: Vec<i64> = candidates.iter().map(|user| user.0).collect();
    let mut ranked = Vec::new();
    for these in candidates.chunks(USERS_PER_QUERY) {
        let listed = table::listed(ctx.store.db(), these.to_vec()).await?;
        let users: Vec<UserNid> = listed.iter().map(|listed| listed.user).collect();
        for (user_id, listed) in ctx.store.user_ids(&users).await?.into_iter().zip(listed) {
            let Some(user_id) = user_id else { continue };
            if let Some(fit) = wanted.fit(&user_id, &listed) {
                let place = (fit, !peers.contains(&listed.user), listed.display_name.is_none());
                ranked.push((place, user_id, listed));
            }
        }
        tokio::task::yield_now().await;
    }
    ranked.sort_by(|(place, id, _), (other, other_id, _)| (place, id.as_str()).cmp(&(other, other_id.as_str())));
    let results = ranked.into_iter().map(|(_, user_id, listed)| Result_ {
        user_id,
        display_name: listed.display_name,
        avatar_url: listed.avatar_url,
    });
    Ok(results.collect())
}

/// Lists users who were there before.
pub(crate) async fn list_all(ctx: &Ctx, users: &[i64]) -> Result<Vec<Statement>, ServiceError> {
    let users: BTreeSet<UserNid> = users.iter().copied().map(UserNid).collect();
    let mut rooms = BTreeSet::new();
    for user in &users {
        let all = ctx.store.user_rooms(*user).await?;
        rooms.extend(all.with(Membership::Join).map(|(room, _)| room));
    }
    let (mut statements, opened) = follow_rooms(ctx, &rooms).await?;
    statements.extend(list(ctx, users, &opened).await?);
    Ok(statements)
}

/// What has happened: whoever it may have changed is listed anew.
pub(crate) async fn follow(ctx: &Ctx, rows: &[Row]) -> Result<Vec<Statement>, ServiceError> {
    let keys = [
        ctx.store.state_key_nid("m.room.join_rules", "").await?,
        ctx.store.state_key_nid("m.room.history_visibility", "").await?,
    ];
    let (mut users, mut rooms) = (BTreeSet::new(), BTreeSet::new());
    for row in rows {
        if let Row::Profile { user } | Row::Account { user } = row {
            users.insert(*user);
        } else if let Row::Event(event) = row {
            users.extend(event.membership.map(|(user, _)| user));
            if event.state_key.is_some() && keys.contains(&event.state_key) {
                rooms.insert(event.room);
            }
        } else if let Row::Purged { room, whole: true, .. } = row {
            rooms.insert(*room);
        }
    }
    let (mut statements, opened) = follow_rooms(ctx, &rooms).await?;
    for room in opened.keys() {
        let members = ctx.store.room_members(*room).await?;
        users.extend(members.with(Membership::Join).map(|(user, _)| user));
    }
    statements.extend(list(ctx, users, &opened).await?);
    Ok(statements)
}

/// Which of these rooms have been opened or closed, and what says so.
async fn follow_rooms(
    ctx: &Ctx,
    rooms: &BTreeSet<RoomNid>,
) -> Result<(Vec<Statement>, HashMap<RoomNid, bool>), ServiceError> {
    let numbers: Vec<i64> = rooms.iter().map(|room| room.0).collect();
    let were_open: HashSet<RoomNid> = table::open_rooms(ctx.store.db(), numbers).await?.into_iter().collect();
    let (mut statements, mut changed) = (Vec::new(), HashMap::new());
    for room in rooms {
        let is_open = is_open(ctx, *room).await?;
        if is_open != were_open.contains(room) {
            changed.insert(*room, is_open);
            statements.push(if is_open {
                table::open_room(*room)
            } else {
                table::close_room(*room)
            });
        }
    }
    Ok((statements, changed))
}

/// Whether anybody may join a room, or read it.
async fn is_open(ctx: &Ctx, room: RoomNid) -> Result<bool, ServiceError> {
    let store = &ctx.store;
    let Some(state) = store.room_root_at(room, now(ctx)).await? else {
        return Ok(false);
    };
    let rules = store.state_event(room, state, "m.room.join_rules", "").await?;
    if rules.is_some_and(|rules| rules.body.content_string("join_rule").as_deref() == Some("public")) {
        return Ok(true);
    }
    let visibility = store.state_event(room, state, "m.room.history_visibility", "").await?;
    let word = visibility.and_then(|visibility| visibility.body.content_string("history_visibility"));
    Ok(word.is_some_and(|word| HistoryVisibility::from_content(&word) == HistoryVisibility::WorldReadable))
}

/// Lists these users as they are now. The last of them are left to the caller to write.
async fn list(
    ctx: &Ctx,
    users: BTreeSet<UserNid>,
    opened: &HashMap<RoomNid, bool>,
) -> Result<Vec<Statement>, ServiceError> {
    let users: Vec<UserNid> = users.into_iter().collect();
    let mut statements = Vec::new();
    for these in users.chunks(USERS_PER_WRITE) {
        if !statements.is_empty() {
            let written = std::mem::take(&mut statements);
            ctx.store
                .db()
                .transaction(written)
                .await
                .map_err(ServiceError::internal)?;
        }
        let before = table::listed(ctx.store.db(), these.iter().map(|user| user.0).collect()).await?;
        for user in these {
            let before = before.iter().find(|listed| listed.user == *user);
            match listing(ctx, *user, opened).await? {
                Some((_, listed)) if before == Some(&listed) => {}
                Some((user_id, listed)) => {
                    let words = names(&user_id, listed.display_name.as_deref());
                    statements.extend(table::upsert(&listed, &words));
                }
                None if before.is_some() => statements.extend(table::delete(*user)),
                None => {}
            }
        }
    }
    Ok(statements)
}

/// How a user is to be listed; not at all if he is a guest, or his account is not used any more.
async fn listing(
    ctx: &Ctx,
    user: UserNid,
    opened: &HashMap<RoomNid, bool>,
) -> Result<Option<(OwnedUserId, Listed)>, ServiceError> {
    let store = &ctx.store;
    let Some(user_id) = store.user_id(user).await? else {
        return Ok(None);
    };
    let rooms = store.user_rooms(user).await?;
    let joined: Vec<_> = rooms.with(Membership::Join).collect();
    let (display_name, avatar_url) = if user_id.server_name() == ctx.config.server_name {
        match store.account(user).await? {
            Some(account) if !account.deactivated && !account.guest => {}
            Some(_) | None => return Ok(None),
        }
        let profile = store.profile(user).await?;
        let field = |name: &str| {
            profile
                .get(name)
                .and_then(|value| serde_json::from_str(value.get()).ok())
        };
        (field("displayname"), field("avatar_url"))
    } else {
        // Of a user of another server is known what his newest membership says.
        let Some((_, newest)) = joined.iter().max_by_key(|(_, member)| member.position) else {
            return Ok(None);
        };
        let member = store.event(newest.event).await?;
        let field = |name: &str| member.as_ref().and_then(|member| member.body.content_string(name));
        (field("displayname"), field("avatar_url"))
    };
    let numbers = joined.iter().map(|(room, _)| room.0).collect();
    let open: HashSet<RoomNid> = table::open_rooms(store.db(), numbers).await?.into_iter().collect();
    let is_open = |room: &RoomNid| opened.get(room).copied().unwrap_or_else(|| open.contains(room));
    // As it is stored, so that what has not changed is not written.
    let clean = |name: Option<String>| name.map(|name| name.replace('\0', " "));
    let listed = Listed {
        user,
        display_name: clean(display_name),
        avatar_url: clean(avatar_url),
        is_open: joined.iter().any(|(room, _)| is_open(room)),
    };
    Ok(Some((user_id, listed)))
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    fn fit(term: &str, user_id: &UserId, display_name: Option<&str>) -> Option<u8> {
        let listed = Listed {
            user: UserNid(1),
            display_name: display_name.map(str::to_owned),
            avatar_url: None,
            is_open: true,
        };
        Wanted::new(term).fit(user_id, &listed)
    }

    #[test]
    fn every_word_has_to_begin_a_word_of_a_name() {
        let user_id = user_id!("@josef_n:example.org");
        let name = Some("Pepík Novák");
        let table = [
            ("pepik", Some(1)),
            ("NOVÁK pep", Some(2)),
            ("Pepík Novák", Some(0)),
            ("josef_n", Some(0)),
            ("@josef_n:example.org", Some(0)),
            ("@jos", Some(2)),
            ("josef novak", Some(1)),
            ("ovak", None),
            ("pepik svoboda", None),
            ("example", None),
        ];
        for (term, expected) in table {
            assert_eq!(fit(term, user_id, name), expected, "{term}");
        }
        assert_eq!(fit("pepik", user_id, None), None);
        assert!(Wanted::new(" -- ").words.is_empty());
    }
}

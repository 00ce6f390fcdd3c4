//! `GET /notifications`: the events a user was notified of, newest first, over all of his rooms.
//!
//! Nothing is stored for it: his rules are asked about the newest events of his rooms, a bounded number for each answer.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3notifications>

use std::{
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::Arc,
};

use plexus_core::{ids::RoomNid, position::Sequence, row::Membership};
use plexus_storage::{events::StoredEvent, memberships::RoomMembership, rooms::RoomInfo};

use super::{
    ask::{Answer, Asker},
    read::{self, MAIN, Receipts},
    rules::{self, UserRules},
    unread::thread_of,
};
use crate::{
    Ctx, Requester, ServiceError,
    client_event::write_string,
    rooms::{access, event::show},
    users::ignored::{self, Ignored},
};

/// Notifications of an answer whose client asks for no number.
const LIMIT_DEFAULT: usize = 50;
/// Most notifications of one answer.
const LIMIT_MAX: usize = 500;
/// Most events that are looked at for one answer; the next one goes on from there.
const SCANNED_MAX: usize = 2_000;
/// Most bytes that rules may look at for one answer, about.
const WORK_MAX: usize = 64 << 20;
/// Events of a room that are read at once.
const PAGE: usize = 20;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct NotificationsRequest {
    /// `next_token` of the answer before.
    pub from: Option<String>,
    pub limit: Option<usize>,
    /// Only what was highlighted.
    pub only_highlights: bool,
}

/// A room on the way back through its events.
struct Walk {
    room: Arc<RoomInfo>,
    member: RoomMembership,
    /// Events that were read and not yet looked at, newest first.
    page: VecDeque<Arc<StoredEvent>>,
    /// What to look at lies after this place.
    since: Sequence,
    receipts: Option<Receipts>,
}

/// A page of notifications, as JSON.
pub async fn get_notifications(
    ctx: &Ctx,
    requester: &Requester,
    request: NotificationsRequest,
) -> Result<Vec<u8>, ServiceError> {
    let now = access::now(ctx);
    let up_to = match &request.from {
        None => now,
        Some(from) => {
            let invalid = |_| ServiceError::invalid_param("`from` is not a token of this endpoint");
            from.parse::<Sequence>().map_err(invalid)?.min(now)
        }
    };
    let limit = request.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let asking = Asking {
        ctx,
        requester,
        rules: rules::of_user(ctx, requester.user, &requester.user_id).await?,
        ignored: ignored::ignored_by(ctx, requester.user).await?,
    };
    let mut walks = asking.begin(up_to).await?;
    let mut heads: BinaryHeap<(Sequence, RoomNid)> = walks.iter().filter_map(|(room, walk)| walk.head(*room)).collect();
    let mut out = b"{\"notifications\":[".to_vec();
    let (mut found, mut scanned, mut work) = (0, 0, 0);
    let mut next = None;
    while let Some((position, room)) = heads.pop() {
        if found == limit || scanned == SCANNED_MAX || work > WORK_MAX {
            next = Some(position);
            break;
        }
        let walk = walks.get_mut(&room).expect("a head is of a walk");
        let Some(event) = walk.page.pop_front() else { continue };
        scanned += 1;
        work += asking.rules.rules.cost(&event.body);
        let answer = asking.ask(walk, &event).await?;
        if answer.notifies && (answer.highlights || !request.only_highlights) {
            found += usize::from(asking.write(walk, &event, &answer, &mut out).await?);
        }
        asking.fill(walk, position - 1).await?;
        heads.extend(walk.head(room));
    }
    out.push(b']');
    if let Some(next) = next {
        out.extend_from_slice(b",\"next_token\":");
        write_string(&mut out, &next.to_string());
    }
    out.push(b'}');
    Ok(out)
}

impl Walk {
    fn head(&self, room: RoomNid) -> Option<(Sequence, RoomNid)> {
        self.page.front().map(|event| (event.position, room))
    }
}

struct Asking<'a> {
    ctx: &'a Ctx,
    requester: &'a Requester,
    rules: Arc<UserRules>,
    ignored: Ignored,
}

impl Asking<'_> {
    /// Every room the user is in, at its newest event up to a place.
    async fn begin(&self, up_to: Sequence) -> Result<HashMap<RoomNid, Walk>, ServiceError> {
        let store = &self.ctx.store;
        let rooms = store.user_rooms(self.requester.user).await?;
        let mut walks = HashMap::new();
        for (room, member) in rooms.with(Membership::Join) {
            let info = store.room_by_nid(room).await?;
            let info = info.ok_or_else(|| ServiceError::internal(format!("room {} is not in rooms", room.0)))?;
            let mut walk = Walk {
                room: info,
                member,
                page: store.events_between(room, 0, up_to, 1).await?.into(),
                since: 0,
                receipts: None,
            };
            if walk.page.front().is_some_and(|event| event.position <= member.position) {
                let (user, room) = (self.requester.user, room);
                walk.since = read::joined_since(self.ctx, user, room, member).await?;
                let since = walk.since;
                walk.page.retain(|event| event.position > since);
            }
            walks.insert(room, walk);
        }
        Ok(walks)
    }

    /// Reads on where the page is at its end.
    async fn fill(&self, walk: &mut Walk, up_to: Sequence) -> Result<(), ServiceError> {
        if !walk.page.is_empty() {
            return Ok(());
        }
        let room = walk.room.nid;
        if walk.since == 0 {
            walk.since = read::joined_since(self.ctx, self.requester.user, room, walk.member).await?;
        }
        if up_to > walk.since {
            let page = self.ctx.store.events_between(room, walk.since, up_to, PAGE).await?;
            walk.page = page.into();
        }
        Ok(())
    }

    async fn ask(&self, walk: &Walk, event: &StoredEvent) -> Result<Answer, ServiceError> {
        if self.ignored.contains(event.body.sender()) && event.state_key.is_none() {
            return Ok(Answer::default());
        }
        let mut asker = Asker::new(self.ctx, &walk.room, &self.requester.user_id, &self.rules).await?;
        asker.ask(event).await
    }

    /// Appends an event that notifies; nothing, if the user may not see it.
    async fn write(
        &self,
        walk: &mut Walk,
        event: &Arc<StoredEvent>,
        answer: &Answer,
        out: &mut Vec<u8>,
    ) -> Result<bool, ServiceError> {
        let Some(shown) = show(self.ctx, self.requester, &walk.room, event).await? else {
            return Ok(false);
        };
        let room = walk.room.nid;
        if walk.receipts.is_none() {
            let receipts = read::receipts(self.ctx, self.requester.user, room, walk.member).await?;
            walk.receipts = Some(receipts);
        }
        let mut read = false;
        if let Some(receipts) = &walk.receipts {
            let thread = thread_of(self.ctx, event).await?;
            let in_thread = receipts.threads.get(thread.as_deref().unwrap_or(MAIN));
            let up_to = in_thread.copied().unwrap_or_default().max(receipts.all);
            read = event.position <= up_to.position;
        }
        if out.last() == Some(&b'}') {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"actions\":");
        serde_json::to_writer(&mut *out, &answer.actions).map_err(ServiceError::internal)?;
        out.extend_from_slice(b",\"event\":");
        out.extend_from_slice(&shown);
        out.extend_from_slice(b",\"profile_tag\":null,\"read\":");
        out.extend_from_slice(if read { b"true" } else { b"false" });
        out.extend_from_slice(b",\"room_id\":");
        write_string(out, walk.room.id.as_str());
        out.extend_from_slice(b",\"ts\":");
        out.extend_from_slice(event.body.origin_server_ts().to_string().as_bytes());
        out.push(b'}');
        Ok(true)
    }
}

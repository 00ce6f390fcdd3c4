//! What is unread by rules of a user's own, or by thread: events asked about one by one.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use plexus_core::{event::json, position::Sequence};
use plexus_storage::events::StoredEvent;
use ruma::EventId;

use super::{Reader, Unread};
use crate::{
    Ctx, ServiceError,
    push::{
        ask::Asker,
        read::{MAIN, Receipts},
        rules::UserRules,
    },
    users::ignored::Ignored,
};

/// Most events of a room that are asked about for one user: older ones count as read.
pub const ASKED_MAX: usize = 1_000;

/// Most bytes that rules may look at for one count, about: what is beyond counts as read.
pub const WORK_MAX: usize = 64 << 20;

/// Most events that are asked about before what a user has read of the main timeline, for what he has not read of threads there: clients that know threads
/// never say that they have read everything.
pub const PAST_MAIN_MAX: usize = 200;

/// After how many bytes looked at others get their turn: about a millisecond.
const PAUSE_EVERY: usize = 1 << 20;

/// Events of one read.
const PAGE: usize = 100;

/// Most relations that are followed to find an event's thread, by specification.
const HOPS_MAX: usize = 3;

/// What has been found.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// By which rules, at what ignored users.
    rules: Arc<UserRules>,
    ignored: Ignored,
    /// Everything after this place is here that matters, or too much to count.
    from: Sequence,
    /// Up to this one.
    to: Sequence,
    /// Oldest first; at most [`ASKED_MAX`].
    items: VecDeque<Item>,
}

/// An event that matters.
#[derive(Clone, Debug)]
struct Item {
    position: Sequence,
    /// None for the main timeline.
    thread: Option<Arc<str>>,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// The reader's own: it reads what was before it.
    Own,
    Notifies,
    Highlights,
}

/// Who asks, and by what.
pub(super) struct Asking<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) reader: Reader<'a>,
    pub(super) receipts: &'a Receipts,
    pub(super) rules: &'a Arc<UserRules>,
    pub(super) ignored: &'a Ignored,
}

impl Asking<'_> {
    /// Brings what was found up to a place.
    pub(super) async fn carry_on(&self, before: Option<Asked>, up_to: Sequence) -> Result<Asked, ServiceError> {
        let floor = self.receipts.all.position;
        let still_holds = |before: &Asked| {
            Arc::ptr_eq(&before.rules, self.rules) && before.ignored == *self.ignored && before.from <= floor
        };
        let mut asked = before.filter(still_holds).unwrap_or_else(|| Asked {
            rules: Arc::clone(self.rules),
            ignored: self.ignored.clone(),
            from: floor,
            to: floor,
            items: VecDeque::new(),
        });
        let mut news = self.ask((asked.to.max(floor), up_to)).await?;
        asked.items.append(&mut news);
        asked.from = asked.from.max(floor);
        asked.to = asked.to.max(up_to);
        asked.items.retain(|item| item.position > floor);
        while asked.items.len() > ASKED_MAX {
            asked.items.pop_front();
        }
        Ok(asked)
    }

    /// What matters of the newest events of a stretch.
    async fn ask(&self, (after, mut up_to): (Sequence, Sequence)) -> Result<VecDeque<Item>, ServiceError> {
        let mut items = VecDeque::new();
        if after >= up_to {
            return Ok(items);
        }
        let room = self.reader.room;
        let mut asker = Asker::new(self.ctx, room, self.reader.user_id, self.rules).await?;
        let main = self.receipts.threads.get(MAIN).map_or(0, |mark| mark.position);
        let (mut seen, mut past_main, mut work) = (0, 0, 0);
        loop {
            let page = self.ctx.store.events_between(room.nid, after, up_to, PAGE).await?;
            let was_last = page.len() < PAGE;
            for event in page {
                up_to = event.position - 1;
                seen += 1;
                let cost = self.rules.rules.cost(&event.body);
                work += cost;
                past_main += usize::from(event.position <= main);
                if seen > ASKED_MAX || past_main > PAST_MAIN_MAX || work > WORK_MAX {
                    return Ok(items);
                }
                if work / PAUSE_EVERY != (work - cost) / PAUSE_EVERY {
                    tokio::task::yield_now().await;
                }
                if let Some(item) = self.ask_one(&mut asker, &event).await? {
                    items.push_front(item);
                }
            }
            if was_last {
                return Ok(items);
            }
        }
    }

    async fn ask_one(&self, asker: &mut Asker<'_>, event: &StoredEvent) -> Result<Option<Item>, ServiceError> {
        let what = if event.sender == self.reader.user {
            // Member events follow a change of profile; nobody has read anything then.
            event.state_key.is_none().then_some(What::Own)
        } else if self.ignored.contains(event.body.sender()) && event.state_key.is_none() {
            None
        } else {
            let answer = asker.ask(event).await?;
            match (answer.notifies, answer.highlights) {
                (true, true) => Some(What::Highlights),
                (true, false) => Some(What::Notifies),
                (false, _) => None,
            }
        };
        let Some(what) = what else { return Ok(None) };
        Ok(Some(Item {
            position: event.position,
            thread: thread_of(self.ctx, event).await?,
            what,
        }))
    }
}

impl Asked {
    /// What of it is unread.
    pub(super) fn unread(&self, receipts: &Receipts, up_to: Sequence, by_thread: bool) -> Unread {
        let mut all = receipts.all.position;
        let mut threads: BTreeMap<&str, Sequence> = receipts
            .threads
            .iter()
            .map(|(thread, mark)| (thread.as_str(), mark.position))
            .collect();
        let reads_by_thread = !threads.is_empty();
        for own in self.items.iter().filter(|item| item.what == What::Own) {
            let read = if reads_by_thread {
                threads.entry(own.thread()).or_default()
            } else {
                &mut all
            };
            *read = own.position.max(*read);
        }
        let mut unread = Unread::default();
        for item in &self.items {
            let read = threads.get(item.thread()).copied().unwrap_or_default().max(all);
            if item.what == What::Own || item.position <= read || item.position > up_to {
                continue;
            }
            let counts = match &item.thread {
                Some(thread) if by_thread => unread.threads.entry(thread.to_string()).or_default(),
                Some(_) | None => &mut unread.room,
            };
            counts.notifications += 1;
            counts.highlights += i64::from(item.what == What::Highlights);
        }
        unread
    }
}

impl Item {
    fn thread(&self) -> &str {
        self.thread.as_deref().unwrap_or(MAIN)
    }
}

/// The root of the thread an event is in, following what it relates to; none if it is in the main timeline.
pub(crate) async fn thread_of(ctx: &Ctx, event: &StoredEvent) -> Result<Option<Arc<str>>, ServiceError> {
    let mut related = relation(event);
    for _ in 0..HOPS_MAX {
        match related {
            Some((true, root)) => return Ok(Some(root.into())),
            Some((false, parent)) => {
                let Ok(parent) = EventId::parse(parent) else {
                    return Ok(None);
                };
                let Some(nid) = ctx.store.event_nid(event.room, &parent).await? else {
                    return Ok(None);
                };
                related = ctx.store.event(nid).await?.as_deref().and_then(relation);
            }
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// What an event relates to, and whether as part of a thread.
fn relation(event: &StoredEvent) -> Option<(bool, String)> {
    let relation = json::get(event.body.content(), "m.relates_to")?;
    let text = |key: &str| json::get(relation, key).and_then(json::string);
    let event_id = text("event_id")?.into_owned();
    Some((text("rel_type")? == "m.thread", event_id))
}

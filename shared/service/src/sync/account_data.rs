//! Account data: the user's own, and that of his rooms.

use std::collections::BTreeMap;

use plexus_core::{event::json::write_string, filter::EventFilter, ids::RoomNid};
use plexus_storage::account_data::Entry;

use super::{
    event::push_comma,
    scope::{Scope, Window},
    visits::{Visit, VisitKind},
};
use crate::{Ctx, Requester, ServiceError, push::rules};

/// What of a user's account data is new in a window.
#[derive(Debug, Default)]
pub(super) struct News(BTreeMap<Option<RoomNid>, Vec<Entry>>);

impl News {
    /// Looks it up, if there may be anything: most syncs know without asking the database.
    pub(super) async fn load(ctx: &Ctx, requester: &Requester, window: &Window) -> Result<Self, ServiceError> {
        let mut news = Self::default();
        if ctx.store.account_data_changed(requester.user) <= window.after() {
            return Ok(news);
        }
        let entries = ctx
            .store
            .account_data_between(requester.user, window.after(), window.up_to)
            .await?;
        for entry in entries {
            news.0.entry(entry.room).or_default().push(entry);
        }
        Ok(news)
    }

    /// The rooms that have any.
    pub(super) fn rooms(&self) -> impl Iterator<Item = RoomNid> {
        self.0.keys().copied().flatten()
    }

    /// Whether a room has any.
    pub(super) fn has(&self, room: RoomNid) -> bool {
        self.0.contains_key(&Some(room))
    }

    fn of(&self, room: Option<RoomNid>) -> &[Entry] {
        self.0.get(&room).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Appends the member `account_data`; whether there is anything new.
pub(super) async fn write(scope: &Scope<'_>, out: &mut Vec<u8>) -> Result<bool, ServiceError> {
    let filter = &scope.filter.account_data;
    let sender = scope.requester.user_id.as_str();
    let mut events = Vec::new();
    // A user who has not changed his push rules has those of the server, and is told them like others theirs.
    let news = scope.account_data.of(None);
    let has_rules = scope.window.since.is_none() || news.iter().any(|entry| entry.kind == rules::KIND);
    if has_rules && filter.shows(rules::KIND, Some(sender)) {
        let rules = rules::of_user(scope.ctx, scope.requester.user, &scope.requester.user_id).await?;
        let content = serde_json::to_string(&rules.content()).map_err(ServiceError::internal)?;
        write_event(rules::KIND, &content, &mut events);
    }
    let others = news.iter().filter(|entry| entry.kind != rules::KIND);
    write_events(scope, filter, others, &mut events);
    if events.is_empty() {
        return Ok(false);
    }
    push_comma(out);
    out.extend_from_slice(b"\"account_data\":{\"events\":[");
    out.extend_from_slice(&events);
    out.extend_from_slice(b"]}");
    Ok(true)
}

/// Appends the events of a room, separated by commas; nothing if there is nothing new.
pub(super) async fn write_of_room(scope: &Scope<'_>, visit: &Visit, out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let filter = &scope.filter.room.account_data;
    if !filter.shows_room(visit.room.id.as_str()) {
        return Ok(());
    }
    let all;
    let entries = if visit.kind == VisitKind::NewlyJoined && scope.window.since.is_some() {
        // Set when he was here before, perhaps.
        let (user, up_to) = (scope.requester.user, scope.window.up_to);
        let mut found = scope.ctx.store.account_data_of_room(user, visit.room.nid).await?;
        found.retain(|entry| entry.position <= up_to);
        all = found;
        &all
    } else {
        scope.account_data.of(Some(visit.room.nid))
    };
    write_events(scope, &filter.events, entries.iter(), out);
    Ok(())
}

fn write_events<'a>(
    scope: &Scope<'_>,
    filter: &EventFilter,
    entries: impl Iterator<Item = &'a Entry>,
    out: &mut Vec<u8>,
) {
    let sender = scope.requester.user_id.as_str();
    for entry in entries.filter(|entry| filter.shows(&entry.kind, Some(sender))) {
        write_event(&entry.kind, entry.content.get(), out);
    }
}

fn write_event(kind: &str, content: &str, out: &mut Vec<u8>) {
    push_comma(out);
    out.extend_from_slice(b"{\"content\":");
    out.extend_from_slice(content.as_bytes());
    out.extend_from_slice(b",\"type\":");
    write_string(out, kind);
    out.push(b'}');
}

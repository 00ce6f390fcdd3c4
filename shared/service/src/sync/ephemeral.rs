//! Typing and receipts of a room.

use std::collections::{BTreeMap, BTreeSet};

use plexus_core::{event::json::write_string, ids::UserNid, row::ReceiptKind};
use plexus_storage::receipts::StoredReceipt;
use ruma::OwnedUserId;

use super::{
    event::{push_comma, write_number},
    scope::{Scope, Typing},
    visits::{Visit, VisitKind},
};
use crate::ServiceError;

/// Appends the events, separated by commas; nothing if there is nothing new.
pub(super) async fn write(scope: &Scope<'_>, visit: &Visit, out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let filter = &scope.filter.room.ephemeral;
    if !filter.shows_room(visit.room.id.as_str()) {
        return Ok(());
    }
    if filter.events.shows("m.typing", None) {
        write_typing(scope, visit, out).await?;
    }
    if filter.events.shows("m.receipt", None) {
        write_receipts(scope, visit, out).await?;
    }
    Ok(())
}

async fn write_typing(scope: &Scope<'_>, visit: &Visit, out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let wanted = match (visit.kind, scope.window.typing()) {
        (VisitKind::NewlyJoined, _) => Typing::Current,
        (_, typing) => typing,
    };
    if wanted == Typing::Nothing {
        return Ok(());
    }
    let typing = scope.ctx.store.typing(visit.room.nid);
    let is_told = match wanted {
        Typing::Nothing => false,
        Typing::After(told) => typing.position > told,
        Typing::Current => !typing.users.is_empty(),
        Typing::All => true,
    };
    if !is_told {
        return Ok(());
    }
    push_comma(out);
    out.extend_from_slice(b"{\"content\":{\"user_ids\":[");
    for user_id in scope.ctx.store.user_ids(&typing.users).await?.into_iter().flatten() {
        push_comma(out);
        write_string(out, user_id.as_str());
    }
    out.extend_from_slice(b"]},\"type\":\"m.typing\"}");
    Ok(())
}

/// A receipt as it is written: of an event and a kind, one of a user.
type Written<'a> = BTreeMap<&'a str, BTreeMap<&'static str, BTreeMap<&'a str, &'a StoredReceipt>>>;

async fn write_receipts(scope: &Scope<'_>, visit: &Visit, out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let after = if visit.kind == VisitKind::NewlyJoined {
        0
    } else {
        scope.window.after()
    };
    if scope.ctx.store.last_change(visit.room.nid) <= after {
        return Ok(());
    }
    let all = scope.ctx.store.receipts(visit.room.nid).await?;
    let own = scope.requester.user;
    let receipts: Vec<&StoredReceipt> = all
        .between(after, scope.window.up_to)
        .map(|(_, receipt)| &**receipt)
        .filter(|receipt| receipt.kind == ReceiptKind::Read || receipt.user == own)
        .collect();
    let users: Vec<UserNid> = receipts.iter().map(|receipt| receipt.user).collect();
    let user_ids = scope.ctx.store.user_ids(&users).await?;
    for event in apart(&receipts, &user_ids) {
        push_comma(out);
        write_receipt_event(&event, out);
    }
    Ok(())
}

/// The receipts as the contents of as few events as can hold them: one event has room for one receipt of a user for each event and kind, so those of several
/// threads go into several.
fn apart<'a>(receipts: &[&'a StoredReceipt], user_ids: &'a [Option<OwnedUserId>]) -> Vec<Written<'a>> {
    let mut events: Vec<Written<'a>> = Vec::new();
    let mut taken: Vec<BTreeSet<(&str, &str, &str)>> = Vec::new();
    for (receipt, user_id) in receipts.iter().zip(user_ids) {
        let Some(user_id) = user_id else { continue };
        let kind = match receipt.kind {
            ReceiptKind::Read => "m.read",
            ReceiptKind::ReadPrivate => "m.read.private",
        };
        let place = (receipt.event_id.as_str(), kind, user_id.as_str());
        let at = taken
            .iter()
            .position(|taken| !taken.contains(&place))
            .unwrap_or(taken.len());
        if at == taken.len() {
            taken.push(BTreeSet::new());
            events.push(Written::new());
        }
        taken[at].insert(place);
        events[at]
            .entry(place.0)
            .or_default()
            .entry(kind)
            .or_default()
            .insert(place.2, receipt);
    }
    events
}

fn write_receipt_event(event: &Written<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"content\":{");
    for (event_id, kinds) in event {
        push_comma(out);
        write_string(out, event_id);
        out.extend_from_slice(b":{");
        for (kind, users) in kinds {
            push_comma(out);
            write_string(out, kind);
            out.extend_from_slice(b":{");
            for (user_id, receipt) in users {
                push_comma(out);
                write_string(out, user_id);
                out.push(b':');
                write_receipt(receipt, out);
            }
            out.push(b'}');
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"},\"type\":\"m.receipt\"}");
}

fn write_receipt(receipt: &StoredReceipt, out: &mut Vec<u8>) {
    out.push(b'{');
    if let Some(thread) = &receipt.thread {
        out.extend_from_slice(b"\"thread_id\":");
        write_string(out, thread);
        out.push(b',');
    }
    out.extend_from_slice(b"\"ts\":");
    write_number(out, receipt.ts_ms);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use ruma::{owned_event_id, owned_user_id};

    use super::*;

    fn receipt(user: i64, kind: ReceiptKind, thread: Option<&str>) -> StoredReceipt {
        let event_id = owned_event_id!("$event");
        StoredReceipt {
            user: UserNid(user),
            kind,
            thread: thread.map(str::to_owned),
            event_id,
            ts_ms: 5,
        }
    }

    #[test]
    fn receipts_of_several_threads_for_one_event_are_apart() {
        let receipts = [
            receipt(1, ReceiptKind::Read, None),
            receipt(1, ReceiptKind::Read, Some("main")),
            receipt(2, ReceiptKind::Read, Some("main")),
            receipt(1, ReceiptKind::ReadPrivate, None),
        ];
        let receipts: Vec<_> = receipts.iter().collect();
        let (alice, bob) = (owned_user_id!("@alice:localhost"), owned_user_id!("@bob:localhost"));
        let user_ids = [Some(alice.clone()), Some(alice.clone()), Some(bob), Some(alice)];
        let mut out = Vec::new();
        for event in apart(&receipts, &user_ids) {
            push_comma(&mut out);
            write_receipt_event(&event, &mut out);
        }
        let expected = [
            r#"{"content":{"$event":{"m.read":{"@alice:localhost":{"ts":5},"@bob:localhost":{"thread_id":"main","ts":5}},"#,
            r#""m.read.private":{"@alice:localhost":{"ts":5}}}},"type":"m.receipt"},"#,
            r#"{"content":{"$event":{"m.read":{"@alice:localhost":{"thread_id":"main","ts":5}}}},"type":"m.receipt"}"#,
        ];
        assert_eq!(String::from_utf8(out).expect("made of text"), expected.concat());
    }
}

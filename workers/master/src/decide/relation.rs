//! Events that relate to events.

use plexus_core::event::{RelationKind, relation};
use plexus_storage::{
    events::NewEventRow,
    relations::{self, Place},
};

use super::{event::Draft, head::PendingHead};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, duplicate_annotation, unknown},
    leader::Leader,
};

/// Refuses a relation that a client must not make. Others that make no sense are sent, and count for nothing.
pub(super) async fn check(leader: &Leader, head: &mut PendingHead, draft: &Draft<'_>) -> Result<(), CommandError> {
    let Some(relation) = relation(draft.content.get()) else {
        return Ok(());
    };
    match relation.kind() {
        RelationKind::Annotation => {
            let Some(hash) = relation.annotation_hash(draft.kind, draft.sender) else {
                return Ok(());
            };
            if head.has_annotation(&hash) || relations::is_annotated(leader.store.db(), &hash).await? {
                return Err(duplicate_annotation());
            }
            Ok(())
        }
        RelationKind::Thread => {
            let Some(root) = leader.store.event_nid(head.info.nid, &relation.parent).await? else {
                return Ok(());
            };
            let root = leader.store.event(root).await?;
            match root.and_then(|root| root.body.relation().map(|relation| relation.kind())) {
                Some(_) => Err(unknown(
                    "A thread cannot begin with an event that relates to another one",
                )),
                None => Ok(()),
            }
        }
        RelationKind::Other | RelationKind::Replace | RelationKind::Reference => Ok(()),
    }
}

/// Writes how an event that has got its place relates to another one.
pub(super) fn persist(head: &mut PendingHead, event: &NewEventRow, change: &mut ChangeSet) {
    let body = &event.body;
    let Some(room_order) = event.room_order else { return };
    let place = Place {
        nid: event.nid,
        room: event.room,
        version: event.version,
        sender: event.sender,
        room_order,
    };
    let Some(statement) = relations::insert(place, body, change.next_sequence()) else {
        return;
    };
    change.statements.push(statement);
    let annotation = body
        .relation()
        .and_then(|relation| relation.annotation_hash(body.kind(), body.sender()));
    if let Some(annotation) = annotation {
        head.add_annotation(annotation);
    }
}

//! What happens in the rooms of a test.

use std::sync::Arc;

use plexus_core::{
    event::{EventBody, NewEvent, SigningKey},
    ids::{EventNid, NodeId, RoomNid, StateKeyNid, UserNid},
    push_rules::Effect,
    row::{EventStatus, Frame, Membership, ReceiptKind, ReceiptRow, Row, Transaction},
    state::{self, Node},
};
use plexus_replication::EPHEMERAL;
use plexus_service::Requester;
use plexus_storage::{
    account_data,
    db::{Statement, Value},
    events::{self, NewEventRow},
    forgotten_rooms, highlights, memberships, receipts, state_keys, state_nodes,
};
use ruma::server_name;
use serde_json::{Value as Json, value::to_raw_value};

use super::{NOW_MS, Room, VERSION, World};

/// What a test says of an event.
pub(crate) struct Say<'a> {
    pub(crate) kind: &'a str,
    pub(crate) state_key: Option<&'a str>,
    pub(crate) content: Json,
    pub(crate) transaction: Option<(&'a str, &'a str)>,
}

impl Room {
    fn seal(&mut self, sender: &Requester, say: &Say<'_>, key: &SigningKey) -> EventBody {
        let new = NewEvent {
            room_id: Some(&self.id),
            sender: &sender.user_id,
            kind: say.kind,
            state_key: say.state_key,
            content: &to_raw_value(&say.content).expect("JSON"),
            prev_events: &self.prev,
            auth_events: &[],
            depth: self.order + 1,
            origin_server_ts: NOW_MS.unsigned_abs() - 5,
            redacts: None,
            legacy: None,
        };
        let body = new
            .seal(VERSION.rules(), key, server_name!("localhost"))
            .expect("a valid event");
        self.prev = vec![body.event_id().to_owned()];
        self.order += 1;
        body
    }

    fn set(&mut self, key: StateKeyNid, event: EventNid) -> Vec<(NodeId, Arc<Node>)> {
        let nodes = |id| self.nodes.get(&id).cloned();
        let made = state::insert(self.root, &[(key, event)], &nodes, &mut self.next_node).expect("all nodes are here");
        self.root = made.root;
        self.nodes.extend(made.new_nodes.iter().cloned());
        made.new_nodes
    }
}

impl World {
    pub(crate) async fn join(&mut self, room: RoomNid, user: &Requester) -> EventNid {
        self.member(
            room,
            user,
            user,
            Membership::Join,
            serde_json::json!({"displayname": user.user_id.localpart()}),
        )
        .await
    }

    pub(crate) async fn member(
        &mut self,
        room: RoomNid,
        sender: &Requester,
        target: &Requester,
        membership: Membership,
        mut content: Json,
    ) -> EventNid {
        content["membership"] = membership.as_str().into();
        let say = Say {
            kind: "m.room.member",
            state_key: Some(target.user_id.as_str()),
            content,
            transaction: None,
        };
        self.say(room, sender, say, Some((target.user, membership))).await
    }

    pub(crate) async fn set(
        &mut self,
        room: RoomNid,
        sender: &Requester,
        kind: &str,
        key: &str,
        content: Json,
    ) -> EventNid {
        self.say(
            room,
            sender,
            Say {
                kind,
                state_key: Some(key),
                content,
                transaction: None,
            },
            None,
        )
        .await
    }

    pub(crate) async fn message(&mut self, room: RoomNid, sender: &Requester, body: &str) -> EventNid {
        let content = serde_json::json!({"body": body, "msgtype": "m.text"});
        self.say(
            room,
            sender,
            Say {
                kind: "m.room.message",
                state_key: None,
                content,
                transaction: None,
            },
            None,
        )
        .await
    }

    pub(crate) async fn say(
        &mut self,
        room: RoomNid,
        sender: &Requester,
        say: Say<'_>,
        membership: Option<(UserNid, Membership)>,
    ) -> EventNid {
        let nid = EventNid(self.nid());
        let position = *self.head.lock().expect("not poisoned") + 1;
        let mut statements = Vec::new();
        let state_key = say.state_key.map(|key| self.key(say.kind, key, &mut statements));
        let here = self.rooms.get_mut(&room).expect("a room of this test");
        let body = Arc::new(here.seal(sender, &say, &self.key));
        let state_before = here.root;
        if let Some(key) = state_key {
            let new_nodes = here.set(key, nid);
            statements.extend(new_nodes.iter().map(|(id, node)| state_nodes::insert(room, *id, node)));
        }
        let (room_root, order) = (here.root, here.order);
        let effect = Effect::of(say.kind, say.state_key, body.content(), || false);
        here.notifying += i64::from(effect.notifies);
        let notifying = here.notifying;
        for user in &effect.mentions {
            let user = self.ctx.store.user_nid(user.as_str().try_into().expect("an id")).await;
            let user = user.expect("the database answers");
            statements.push(highlights::insert(room, user, Value::Int(position), !effect.notifies));
        }
        let transaction = say.transaction.map(|(device, id)| {
            Arc::new(Transaction {
                device: device.into(),
                id: id.to_owned(),
            })
        });
        let row = NewEventRow {
            nid,
            room,
            version: VERSION,
            sender: sender.user,
            room_order: Some(order),
            state_key,
            state_before,
            room_root,
            status: EventStatus::Accepted,
            state_after: room_root,
            auth_parents: None,
            rejected_for: None,
            outgoing: true,
            notifying,
            transaction,
            body,
        };
        statements.push(events::insert(&row, Value::Int(position)));
        if let Some((user, membership)) = membership {
            statements.push(memberships::insert(user, room, Value::Int(position), membership, nid));
        }
        self.commit(
            row.log_row(membership).map(Row::Event).into_iter().collect(),
            statements,
        )
        .await;
        nid
    }

    /// Takes the content of an event, as `sender` asks.
    pub(crate) async fn redact(&mut self, room: RoomNid, sender: &Requester, event: EventNid) -> EventNid {
        let target = self
            .ctx
            .store
            .event(event)
            .await
            .expect("the database answers")
            .expect("it is there");
        let content = serde_json::json!({"redacts": target.body.event_id()});
        let say = Say {
            kind: "m.room.redaction",
            state_key: None,
            content,
            transaction: None,
        };
        let redacted_by = self.say(room, sender, say, None).await;
        let redacted = target.body.redacted(VERSION.rules());
        let statement = events::redact(event, redacted_by, &redacted);
        self.commit(
            vec![Row::Redaction {
                room,
                event,
                redacted_by,
            }],
            vec![statement],
        )
        .await;
        redacted_by
    }

    pub(crate) async fn receipt(
        &mut self,
        room: RoomNid,
        user: &Requester,
        kind: ReceiptKind,
        thread: Option<&str>,
        event: EventNid,
    ) {
        let event = self
            .ctx
            .store
            .event(event)
            .await
            .expect("the database answers")
            .expect("it is there");
        let receipt = ReceiptRow {
            room,
            user: user.user,
            kind,
            thread: thread.map(str::to_owned),
            event_id: event.body.event_id().to_owned(),
            ts_ms: NOW_MS,
        };
        let position = *self.head.lock().expect("not poisoned") + 1;
        let statement = receipts::upsert(&receipt, Value::Int(position));
        self.commit(vec![Row::Receipt(receipt)], vec![statement]).await;
    }

    /// The user forgets a room.
    pub(crate) async fn forget(&mut self, room: RoomNid, user: &Requester) {
        let position = *self.head.lock().expect("not poisoned") + 1;
        let statement = forgotten_rooms::upsert(user.user, room, Value::Int(position));
        let row = Row::Forgotten { user: user.user, room };
        self.commit(vec![row], vec![statement]).await;
    }

    /// Sets account data.
    pub(crate) async fn account_data(&mut self, user: &Requester, room: Option<RoomNid>, kind: &str, content: Json) {
        let position = *self.head.lock().expect("not poisoned") + 1;
        let content = to_raw_value(&content).expect("JSON");
        let statement = account_data::upsert(user.user, room, kind, Value::Int(position), &content);
        let row = Row::AccountData {
            user: user.user,
            room,
            kind: kind.to_owned(),
        };
        self.commit(vec![row], vec![statement]).await;
    }

    pub(crate) fn typing(&mut self, room: RoomNid, users: &[&Requester]) {
        let users = users.iter().map(|user| user.user).collect();
        let previous = self.ephemeral;
        self.ephemeral += 1;
        let frame = Frame {
            writer: EPHEMERAL,
            epoch: self.ephemeral_epoch,
            previous,
            position: self.ephemeral,
            rows: vec![Row::Typing { room, users }],
        };
        self.ctx.replica.receive(&Arc::new(frame));
    }

    /// Another master leads: who is typing is not known any more.
    pub(crate) fn fail_over(&mut self) {
        self.ephemeral_epoch += 1;
        self.ephemeral = 0;
    }

    fn key(&mut self, kind: &str, state_key: &str, statements: &mut Vec<Statement>) -> StateKeyNid {
        let pair = (kind.to_owned(), state_key.to_owned());
        if let Some(key) = self.keys.get(&pair) {
            return *key;
        }
        let key = StateKeyNid(self.nid());
        statements.push(state_keys::insert(key, kind, state_key));
        self.keys.insert(pair, key);
        key
    }
}

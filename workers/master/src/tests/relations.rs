//! Events that relate to events.

use plexus_core::room_version::RoomVersion;
use plexus_proto::{SendEvent, command::Kind};
use plexus_replication::MasterError;
use plexus_storage::db::Value;
use plexus_testkit::databases;
use serde_json::json;

use super::Server;

const ALICE: &str = "@alice:example.org";
const BOB: &str = "@bob:example.org";

fn refusal<T: std::fmt::Debug>(result: Result<T, MasterError>) -> (u16, String) {
    match result {
        Err(MasterError::Matrix { status, errcode, .. }) => (status, errcode),
        other => panic!("not refused: {other:?}"),
    }
}

/// One sends events that relate to others.
struct Sender<'a> {
    server: &'a Server,
    room: &'a str,
}

impl Sender<'_> {
    async fn relate(
        &self,
        id: &str,
        sender: &str,
        kind: &str,
        parent: &str,
        rel_type: &str,
        key: &str,
    ) -> Result<String, MasterError> {
        let content = json!({"m.relates_to": {"event_id": parent, "rel_type": rel_type, "key": key}});
        self.send(id, sender, kind, &content, None).await
    }

    async fn send(
        &self,
        id: &str,
        sender: &str,
        kind: &str,
        content: &serde_json::Value,
        redacts: Option<&str>,
    ) -> Result<String, MasterError> {
        let event = SendEvent {
            room_id: self.room.to_owned(),
            sender: sender.to_owned(),
            kind: kind.to_owned(),
            content: content.to_string().into(),
            redacts: redacts.map(str::to_owned),
            ..SendEvent::default()
        };
        let result = self.server.run(id, Kind::SendEvent(event)).await?;
        Ok(result.event_id.expect("it has an id"))
    }

    async fn stored(&self) -> i64 {
        let sql = "-- test::relations\nSELECT COUNT(*) FROM relations WHERE event_nid > $1";
        let row = self.server.replica.store().db().query_opt(sql, &[Value::Int(0)]).await;
        row.expect("the database answers")
            .expect("one row")
            .int(0)
            .expect("a number")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_annotation_that_says_the_same_is_refused_until_the_first_is_redacted() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        server.register(BOB).await;
        for (at, version) in [RoomVersion::V1, RoomVersion::V3, RoomVersion::V10, RoomVersion::V12]
            .into_iter()
            .enumerate()
        {
            let room = server.create_room(&format!("room{at}"), ALICE, version).await;
            server.join(&room, BOB).await.expect("the room is public");
            let thread = server
                .send(&format!("m{at}"), &room, ALICE, "hello")
                .await
                .expect("a member may talk");
            let sender = Sender {
                server: &server,
                room: &room,
            };
            let react = async |id: &str, who, kind, key| {
                sender
                    .relate(&format!("{id}{at}"), who, kind, &thread, "m.annotation", key)
                    .await
            };
            let first = react("a", ALICE, "m.reaction", "+1").await.expect("the first");
            let second = react("b", ALICE, "m.reaction", "+1").await;
            assert_eq!(refusal(second), (400, "M_DUPLICATE_ANNOTATION".to_owned()), "{version}");
            // Another key, another type, another sender; and the same request again.
            react("c", ALICE, "m.reaction", "\u{0}").await.expect("another key");
            react("d", ALICE, "m.other", "+1").await.expect("another type");
            react("e", BOB, "m.reaction", "+1").await.expect("another sender");
            assert_eq!(react("a", ALICE, "m.reaction", "+1").await.expect("a retry"), first);
            let redaction = sender
                .send(&format!("r{at}"), ALICE, "m.room.redaction", &json!({}), Some(&first))
                .await;
            redaction.expect("one may redact one's own");
            react("f", ALICE, "m.reaction", "+1").await.expect("the first is gone");
            // Many at once run in one turn of the room's lane, and see each other.
            let all = futures_util::future::join_all(["g", "h", "i"].map(|id| react(id, BOB, "m.reaction", "x"))).await;
            assert_eq!(all.iter().filter(|sent| sent.is_ok()).count(), 1, "{all:?}");
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_begins_with_an_event_that_stands_alone() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let room = server.create_room("room", ALICE, RoomVersion::V11).await;
        let thread = server.send("m", &room, ALICE, "root").await.expect("she may talk");
        let sender = Sender {
            server: &server,
            room: &room,
        };
        let reply = sender
            .relate("t", ALICE, "m.room.message", &thread, "m.thread", "")
            .await
            .expect("a thread");
        let nested = sender
            .relate("u", ALICE, "m.room.message", &reply, "m.thread", "")
            .await;
        assert_eq!(refusal(nested), (400, "M_UNKNOWN".to_owned()));
        let rich = json!({"body": "x", "m.relates_to": {"m.in_reply_to": {"event_id": thread}}});
        let rich = sender
            .send("v", ALICE, "m.room.message", &rich, None)
            .await
            .expect("a rich reply");
        sender
            .relate("w", ALICE, "m.room.message", &rich, "m.thread", "")
            .await
            .expect("a rich reply has no rel_type");
        // What points to nothing that is here is sent, and counts for nothing.
        sender
            .relate("x", ALICE, "m.room.message", "$nowhere", "m.thread", "")
            .await
            .expect("it is only a message");
        assert_eq!(sender.stored().await, 2);
        sender
            .send("r", ALICE, "m.room.redaction", &json!({}), Some(&reply))
            .await
            .expect("her own");
        assert_eq!(sender.stored().await, 1);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redaction_names_an_event_of_its_room() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let (room, other) = (
            server.create_room("room", ALICE, RoomVersion::V11).await,
            server.create_room("other", ALICE, RoomVersion::V11).await,
        );
        let elsewhere = server.send("m", &other, ALICE, "there").await.expect("she may talk");
        let sender = Sender {
            server: &server,
            room: &room,
        };
        for (id, event) in [("a", elsewhere.as_str()), ("b", "$nowhere")] {
            let sent = sender
                .send(id, ALICE, "m.room.redaction", &json!({}), Some(event))
                .await;
            assert_eq!(refusal(sent), (400, "M_INVALID_PARAM".to_owned()), "{event}");
        }
        server.stop().await;
    }
}

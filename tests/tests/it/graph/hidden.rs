//! Events that the rules do not let into a room are shown nowhere, whoever refers to them.

use plexus_core::room_version::RoomVersion;
use plexus_proto::event_outcome::Outcome;
use plexus_testkit::dag::{Attempt, CREATOR, Index};
use plexus_tests::{Cluster, PATIENCE, Remote, User, encode, eventually};
use serde_json::{Value, json};

use super::{
    BOB, CAROL, SPLIT,
    follower::{Follower, Wants},
    fresh_room, levels, member, path,
    stored::verify,
};

/// A word that is searched for.
const WORD: &str = "haystack";

/// A room in which not everything holds.
struct Story {
    remote: Remote,
    /// Up to here everybody agrees.
    base: Index,
    /// A message of Bob's.
    visible: Index,
    ban: Index,
    /// What Bob does after his ban, as if he had not heard of it.
    soft: Vec<Index>,
    /// What nobody may do.
    rejected: Vec<Index>,
    /// An event that follows what soft-failed.
    merge: Index,
}

impl Story {
    fn invent(cluster: &Cluster) -> Self {
        let mut remote = fresh_room(cluster, RoomVersion::V11);
        let last = remote.dag.last();
        let mut add = |prev: &[Index], attempt: &Attempt| remote.dag.add(prev, attempt);
        let bobs = add(&[last], &Attempt::member(BOB, BOB, "join"));
        let base = add(&[bobs], &Attempt::state(CREATOR, "m.room.power_levels", "", levels(50)));
        let visible = add(&[base], &Attempt::message(BOB, &format!("{WORD} visible")));
        let ban = add(&[visible], &Attempt::member(CREATOR, BOB, "ban"));
        let id = remote.id(visible);
        let mut soft = Vec::new();
        for attempt in after_the_ban(&id) {
            let prev = *soft.last().unwrap_or(&visible);
            soft.push(remote.dag.add(&[prev], &attempt));
        }
        let stranger = Attempt::message(CAROL, &format!("{WORD} rejected"));
        let thief = Attempt::state(BOB, "m.room.power_levels", "", levels(100));
        let rejected = [stranger, thief].map(|attempt| remote.dag.add(&[visible], &attempt));
        let merge = Attempt::message(CREATOR, &format!("{WORD} merge"));
        let merge = remote.dag.add(&[soft[soft.len() - 1], ban], &merge);
        Self {
            remote,
            base,
            visible,
            ban,
            soft,
            rejected: rejected.into(),
            merge,
        }
    }

    fn hidden(&self) -> Vec<String> {
        let all = self.soft.iter().chain(&self.rejected);
        all.map(|at| self.remote.id(*at)).collect()
    }
}

/// A message, everything that can relate to another one, and state.
fn after_the_ban(visible: &str) -> Vec<Attempt> {
    let of_kind = |kind: &str, content: Value| {
        let mut attempt = Attempt::message(BOB, "");
        kind.clone_into(&mut attempt.kind);
        attempt.content = content;
        attempt
    };
    let related = |rel: &str| {
        let mut content = json!({"msgtype": "m.text", "body": format!("{WORD} {rel}")});
        content["m.relates_to"] = json!({"rel_type": rel, "event_id": visible});
        content["m.new_content"] = json!({"msgtype": "m.text", "body": format!("{WORD} edited")});
        of_kind("m.room.message", content)
    };
    vec![
        Attempt::message(BOB, &format!("{WORD} soft")),
        of_kind(
            "m.reaction",
            json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": visible, "key": "+"}}),
        ),
        related("m.thread"),
        related("m.replace"),
        related("m.reference"),
        of_kind("m.room.redaction", json!({"redacts": visible})),
        Attempt::state(BOB, "m.room.topic", "", json!({"topic": format!("{WORD} soft topic")})),
    ]
}

#[test]
fn what_was_soft_failed_or_rejected_is_shown_nowhere() {
    SPLIT.run(async |cluster| {
        let story = Story::invent(&cluster);
        let (remote, room, hidden) = (&story.remote, story.remote.room(), story.hidden());
        let all: Vec<_> = (0..=story.visible).collect();
        assert!(story.base < story.visible);
        remote.tell_as(&all, Outcome::Accepted).await;
        let dave = member(&cluster, &room).await;
        let mut followers = [
            Follower::start(&dave, &room, Wants::Before).await,
            Follower::start(&dave, &room, Wants::After).await,
        ];
        remote.tell_as(&[story.ban], Outcome::Accepted).await;
        remote.tell_as(&story.soft, Outcome::SoftFailed).await;
        remote.tell_as(&story.rejected, Outcome::Rejected).await;
        let marker = dave.say(&room, &format!("{WORD} between")).await;
        for follower in &mut followers {
            follower.until(&marker).await;
            assert_eq!(follower.unread, 0, "{:?}", follower.heard);
        }
        remote.tell_as(&[story.merge], Outcome::Accepted).await;
        let merge = remote.id(story.merge);
        for follower in &mut followers {
            follower.until(&merge).await;
        }
        let whole = [
            Follower::start(&dave, &room, Wants::Before).await,
            Follower::start(&dave, &room, Wants::After).await,
        ];
        for text in followers.iter().chain(&whole).flat_map(|follower| &follower.heard) {
            assert_none(text, &hidden, "sync");
        }
        check_reads(&dave, &story).await;
        check_relations(&dave, &story).await;
        check_state(&dave, &story).await;
        verify(&cluster, &room).await;
    });
}

fn assert_none(text: &str, hidden: &[String], place: &str) {
    for id in hidden {
        assert!(!text.contains(id.as_str()), "{place} shows {id}: {text}");
    }
}

/// By id, around another event, by page, by time, by word.
async fn check_reads(dave: &User, story: &Story) {
    let (room, hidden) = (story.remote.room(), story.hidden());
    let merge = story.remote.id(story.merge);
    eventually(PATIENCE, "the last event to be read", async || {
        let answer = dave.http.get(&path(&room, &format!("event/{}", encode(&merge)))).await;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(answer.text())
        }
    })
    .await;
    for id in &hidden {
        for place in ["event", "context"] {
            let answer = dave.http.get(&path(&room, &format!("{place}/{}", encode(id)))).await;
            answer.expect_error(404, "M_NOT_FOUND");
        }
        let answer = dave.http.get(&relations_of(&room, id)).await;
        assert_none(&answer.text(), &hidden, "relations of what is hidden");
        let read = path(&room, &format!("receipt/m.read/{}", encode(id)));
        let status = dave.http.post(&read, &json!({})).await.status;
        assert!(
            status == 404 || status == 200,
            "a receipt for what is hidden gives {status}"
        );
    }
    for direction in ["b", "f"] {
        let page = dave.messages(&room, direction, "&limit=100").await;
        assert!(page.ok()["chunk"].as_array().is_some_and(|chunk| chunk.len() > 5));
        assert_none(&page.text(), &hidden, "messages");
    }
    for at in [story.visible, story.merge] {
        let target = format!("context/{}?limit=100", encode(&story.remote.id(at)));
        let answer = dave.http.get(&path(&room, &target)).await;
        answer.ok();
        assert_none(&answer.text(), &hidden, "context");
    }
    for at in &story.soft {
        let ts = story.remote.dag.events[*at].body.origin_server_ts();
        let target = format!(
            "/_matrix/client/v1/rooms/{}/timestamp_to_event?ts={ts}&dir=f",
            encode(&room)
        );
        assert_none(&dave.http.get(&target).await.text(), &hidden, "timestamp_to_event");
    }
    let search = json!({"search_categories": {"room_events": {"search_term": WORD, "event_context": {}}}});
    let found = eventually(PATIENCE, "the last event to be found", async || {
        let answer = dave.http.post("/_matrix/client/v3/search", &search).await;
        if answer.text().contains(&merge) {
            Ok(answer)
        } else {
            Err(answer.text())
        }
    })
    .await;
    assert!(found.text().contains(&story.remote.id(story.visible)));
    assert_none(&found.text(), &hidden, "search");
}

fn relations_of(room: &str, id: &str) -> String {
    format!("/_matrix/client/v1/rooms/{}/relations/{}", encode(room), encode(id))
}

/// What relates to an event without being in the room is not counted with it, does not replace it, and takes nothing of it.
async fn check_relations(dave: &User, story: &Story) {
    let (room, hidden) = (story.remote.room(), story.hidden());
    let visible = story.remote.id(story.visible);
    let related = relations_of(&room, &visible);
    let below = ["", "/m.thread", "/m.annotation", "/m.replace", "/m.reference"];
    for target in below.map(|kind| format!("{related}{kind}")) {
        let answer = dave.http.get(&target).await;
        assert_eq!(answer.ok()["chunk"], json!([]), "{target}");
    }
    let threads = format!("/_matrix/client/v1/rooms/{}/threads", encode(&room));
    let answer = dave.http.get(&threads).await;
    assert_eq!(answer.ok()["chunk"], json!([]));
    let answer = dave
        .http
        .get(&path(&room, &format!("event/{}", encode(&visible))))
        .await;
    let event = answer.ok();
    assert_eq!(event["content"]["body"], format!("{WORD} visible"), "{event}");
    assert!(event["unsigned"]["m.relations"].is_null(), "{event}");
    assert!(event["unsigned"]["redacted_because"].is_null(), "{event}");
    assert_none(&answer.text(), &hidden, "event");
}

async fn check_state(dave: &User, story: &Story) {
    let (room, hidden) = (story.remote.room(), story.hidden());
    for list in ["state", "members"] {
        let answer = dave.http.get(&path(&room, list)).await;
        answer.ok();
        assert_none(&answer.text(), &hidden, list);
    }
    let topic = dave.http.get(&path(&room, "state/m.room.topic/")).await;
    topic.expect_error(404, "M_NOT_FOUND");
    let levels = dave.http.get(&path(&room, "state/m.room.power_levels/")).await.ok();
    assert_eq!(levels["users"][BOB], 50, "{levels}");
}

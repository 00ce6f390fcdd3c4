//! State that changes because branches meet, and not because of an event that changes it.

use plexus_core::room_version::RoomVersion;
use plexus_proto::event_outcome::Outcome;
use plexus_testkit::dag::{Attempt, CREATOR};
use plexus_tests::{PATIENCE, User, eventually};
use serde_json::json;

use super::{
    BOB, CAROL, SPLIT,
    follower::{Follower, Wants},
    fresh_room, levels, member, path,
};

const MEMBER: &str = "m.room.member";

/// Waits until one piece of the room's state is what it should be where a user reads.
async fn until_state_is(user: &User, room: &str, state: &str, wanted: (&str, &str)) {
    eventually(PATIENCE, &format!("{state} to be {wanted:?}"), async || {
        let answer = user.http.get(&path(room, &format!("state/{state}"))).await;
        if answer.status == 200 && answer.json()[wanted.0] == wanted.1 {
            Ok(())
        } else {
            Err(answer.text())
        }
    })
    .await;
}

#[test]
fn a_ban_that_resolution_undoes_is_told_once() {
    SPLIT.run(async |cluster| {
        for version in [RoomVersion::V6, RoomVersion::V11] {
            let mut remote = fresh_room(&cluster, version);
            let (room, last) = (remote.room(), remote.dag.last());
            let mut add = |prev, attempt: &Attempt| remote.dag.add(&[prev], attempt);
            let bobs = add(last, &Attempt::member(BOB, BOB, "join"));
            let carols = add(bobs, &Attempt::member(CAROL, CAROL, "join"));
            let base = add(carols, &Attempt::state(CREATOR, "m.room.power_levels", "", levels(50)));
            let ban = add(base, &Attempt::member(BOB, CAROL, "ban"));
            // On another branch Bob loses the power to.
            let demotion = add(base, &Attempt::state(CREATOR, "m.room.power_levels", "", levels(0)));
            let (join, ban_id, demotion_id) = (remote.id(carols), remote.id(ban), remote.id(demotion));

            let all: Vec<_> = (0..=base).collect();
            remote.tell_as(&all, Outcome::Accepted).await;
            let dave = member(&cluster, &room).await;
            let mut followers = [
                Follower::start(&dave, &room, Wants::Before).await,
                Follower::start(&dave, &room, Wants::After).await,
            ];
            remote.tell_as(&[ban], Outcome::Accepted).await;
            for follower in &mut followers {
                follower.until(&ban_id).await;
                let told = follower.told(MEMBER, CAROL);
                assert_eq!(told.0, [&*ban_id]);
            }
            until_state_is(&dave, &room, &format!("m.room.member/{CAROL}"), ("membership", "ban")).await;
            remote.tell_as(&[demotion], Outcome::Accepted).await;
            let said = dave.say(&room, "that was it").await;
            for follower in &mut followers {
                follower.until(&said).await;
            }
            let [before, after] = &followers;
            assert_eq!(before.told(MEMBER, CAROL), (vec![&*ban_id], vec![&*join]), "{version}");
            assert_eq!(
                after.told(MEMBER, CAROL),
                (vec![&*ban_id], vec![&*ban_id, &*join]),
                "{version}"
            );
            for follower in &followers {
                let times = follower
                    .timeline
                    .iter()
                    .filter(|event| event["event_id"] == *demotion_id);
                assert_eq!(times.count(), 1);
            }
            check_everywhere_joined(&dave, &room, (&join, &ban_id)).await;
        }
    });
}

/// Every list of members has Carol as joined, by the event of her join; the ban is history.
async fn check_everywhere_joined(dave: &User, room: &str, (join, ban): (&str, &str)) {
    until_state_is(dave, room, &format!("m.room.member/{CAROL}"), ("membership", "join")).await;
    for list in ["members", "state"] {
        let answer = dave.http.get(&path(room, list)).await;
        let (body, text) = (answer.ok(), answer.text());
        let events = if list == "state" { &body } else { &body["chunk"] };
        let of_carol = events
            .as_array()
            .expect("a list")
            .iter()
            .filter(|event| event["type"] == MEMBER && event["state_key"] == CAROL);
        let ids: Vec<_> = of_carol.map(|event| event["event_id"].as_str()).collect();
        assert_eq!(ids, [Some(join)], "{list}");
        assert!(!text.contains(ban), "{list}: {text}");
    }
    for (membership, is_listed) in [("join", true), ("ban", false)] {
        let answer = dave
            .http
            .get(&path(room, &format!("members?membership={membership}")))
            .await;
        answer.ok();
        assert_eq!(answer.text().contains(CAROL), is_listed, "{membership}");
    }
    let joined = dave.http.get(&path(room, "joined_members")).await.ok();
    assert!(joined["joined"][CAROL].is_object(), "{joined}");
    let history = dave.messages(room, "b", "&limit=100").await.ok();
    let bans = history["chunk"].as_array().expect("messages gives a chunk").iter();
    assert_eq!(bans.filter(|event| event["event_id"] == ban).count(), 1);
}

/// The later event of two branches is not always the one that counts.
#[test]
fn an_event_that_loses_is_shown_and_is_not_the_state() {
    SPLIT.run(async |cluster| {
        let mut remote = fresh_room(&cluster, RoomVersion::V12);
        let (room, base) = (remote.room(), remote.dag.last());
        let topic = |text: &str| Attempt::state(CREATOR, "m.room.topic", "", json!({ "topic": text }));
        let loser = remote.dag.add(&[base], &topic("loses"));
        let winner = remote.dag.add(&[base], &topic("wins"));
        let (loser_id, winner_id) = (remote.id(loser), remote.id(winner));
        let all: Vec<_> = (0..=base).collect();
        remote.tell_as(&all, Outcome::Accepted).await;
        let dave = member(&cluster, &room).await;
        let mut after = Follower::start(&dave, &room, Wants::After).await;
        remote.tell_as(&[winner], Outcome::Accepted).await;
        after.until(&winner_id).await;
        remote.tell_as(&[loser], Outcome::Accepted).await;
        let said = dave.say(&room, "that was it").await;
        after.until(&said).await;
        assert_eq!(
            after.told("m.room.topic", ""),
            (vec![&*winner_id, &*loser_id], vec![&*winner_id])
        );
        until_state_is(&dave, &room, "m.room.topic/", ("topic", "wins")).await;
        let whole = Follower::start(&dave, &room, Wants::After).await;
        let first: serde_json::Value = serde_json::from_str(&whole.heard[0]).expect("JSON");
        let state = first["rooms"]["join"][&room]["state_after"]["events"].as_array();
        let topics = state
            .expect("a state")
            .iter()
            .filter(|event| event["type"] == "m.room.topic");
        let topics: Vec<_> = topics.map(|event| event["event_id"].as_str()).collect();
        assert_eq!(topics, [Some(&*winner_id)]);
    });
}

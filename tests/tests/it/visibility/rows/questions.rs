//! The questions to ask of each endpoint that reads a room, and what the rules say of the answers.

use plexus_tests::encode;
use serde_json::json;

use super::{
    Answered, Question,
    answers::{knockers_view, no_more, of_event, of_state, own_rooms, tells, timeline},
};
use crate::visibility::{MOMENTS, Moment, Scene, Who, rooms};

fn ask(target: String, answer: Answered) -> Question {
    Question {
        target,
        body: None,
        answer,
    }
}

pub(super) fn messages(scene: &Scene, who: Who) -> Vec<Question> {
    let room = rooms(&scene.room);
    let lazy = encode(r#"{"lazy_load_members":true}"#);
    let related = encode(r#"{"related_by_rel_types":["m.thread"]}"#);
    let federation = encode(r#"{"event_format":"federation"}"#);
    let all = || timeline(scene, who, &["said", "reply"]);
    vec![
        ask(format!("{room}/messages?dir=b&limit=100"), all()),
        ask(format!("{room}/messages?dir=f&limit=100&filter={lazy}"), all()),
        ask(format!("{room}/messages?dir=b&limit=100&filter={federation}"), all()),
        ask(
            format!("{room}/messages?dir=f&limit=100&filter={related}"),
            timeline(scene, who, &["said"]),
        ),
    ]
}

pub(super) fn context(scene: &Scene, who: Who) -> Vec<Question> {
    let question = |moment| {
        let target = format!(
            "{}/context/{}?limit=100",
            rooms(&scene.room),
            encode(scene.event(moment))
        );
        let answer = if scene.may_look(who) && !scene.sees(who, moment) {
            Answered::Refused(404)
        } else {
            timeline(scene, who, &["said", "reply"])
        };
        ask(target, answer)
    };
    MOMENTS.map(question).into()
}

pub(super) fn event(scene: &Scene, who: Who) -> Vec<Question> {
    let question = |moment| {
        let target = format!("{}/event/{}", rooms(&scene.room), encode(scene.event(moment)));
        ask(target, of_event(scene, who, moment, "said"))
    };
    MOMENTS.map(question).into()
}

pub(super) fn event_anywhere(scene: &Scene, who: Who) -> Vec<Question> {
    let question = |moment| {
        let target = format!("/_matrix/client/v3/events/{}", encode(scene.event(moment)));
        let answer = if who == Who::Guest {
            Answered::Refused(403)
        } else {
            of_event(scene, who, moment, "said")
        };
        ask(target, answer)
    };
    MOMENTS.map(question).into()
}

pub(super) fn timestamp_to_event(scene: &Scene, who: Who) -> Vec<Question> {
    let hidden = MOMENTS
        .into_iter()
        .filter(|moment| !scene.sees(who, *moment))
        .map(|moment| scene.event(moment).to_owned())
        .collect::<Vec<_>>();
    let question = |query: &str| {
        let answer = if scene.may_look(who) && who != Who::Guest {
            let hidden = hidden.clone();
            Answered::Tells {
                shown: vec!["origin_server_ts".to_owned()],
                hidden,
            }
        } else {
            Answered::Refused(403)
        };
        let target = format!(
            "/_matrix/client/v1/rooms/{}/timestamp_to_event?{query}",
            encode(&scene.room)
        );
        ask(target, answer)
    };
    vec![question("ts=0&dir=f"), question("ts=9000000000000&dir=b")]
}

/// The replies to each event, with more path behind it.
fn replies(scene: &Scene, who: Who, more: &str) -> Vec<Question> {
    let question = |moment| {
        let answer = if !scene.may_look(who) || who == Who::Guest {
            Answered::Refused(403)
        } else {
            of_event(scene, who, moment, "reply")
        };
        let event = encode(scene.event(moment));
        let target = format!(
            "/_matrix/client/v1/rooms/{}/relations/{event}{more}",
            encode(&scene.room)
        );
        ask(target, answer)
    };
    MOMENTS.map(question).into()
}

pub(super) fn relations(scene: &Scene, who: Who) -> Vec<Question> {
    replies(scene, who, "?recurse=true")
}

pub(super) fn relations_of_type(scene: &Scene, who: Who) -> Vec<Question> {
    replies(scene, who, "/m.thread")
}

pub(super) fn relations_of_type_and_event(scene: &Scene, who: Who) -> Vec<Question> {
    replies(scene, who, "/m.thread/m.room.message?dir=f")
}

pub(super) fn threads(scene: &Scene, who: Who) -> Vec<Question> {
    let answer = if who == Who::Guest {
        Answered::Refused(403)
    } else {
        timeline(scene, who, &["said", "reply"])
    };
    let target = format!("/_matrix/client/v1/rooms/{}/threads?limit=50", encode(&scene.room));
    vec![ask(target, answer)]
}

pub(super) fn state(scene: &Scene, who: Who) -> Vec<Question> {
    let target = format!("{}/state", rooms(&scene.room));
    vec![ask(target, of_state(scene, who, Some("topic-early"), "topic-late"))]
}

pub(super) fn state_event(scene: &Scene, who: Who) -> Vec<Question> {
    let topic = format!("{}/state/m.room.topic", rooms(&scene.room));
    ["", "/", "?format=event"]
        .into_iter()
        .map(|end| {
            ask(
                format!("{topic}{end}"),
                of_state(scene, who, Some("topic-early"), "topic-late"),
            )
        })
        .collect()
}

/// Who knocked came after others had gone.
pub(super) fn members(scene: &Scene, who: Who) -> Vec<Question> {
    let knocked = scene.people.iter().find(|(who, _)| *who == Who::Knocked);
    let knocked = knocked.map_or("", |(_, user)| user.id.as_str());
    let target = format!("{}/members", rooms(&scene.room));
    vec![ask(target, of_state(scene, who, None, knocked))]
}

pub(super) fn joined_members(scene: &Scene, who: Who) -> Vec<Question> {
    let answer = if who == Who::Joined {
        own_rooms(&["joined"], &[])
    } else {
        Answered::Refused(403)
    };
    vec![ask(format!("{}/joined_members", rooms(&scene.room)), answer)]
}

pub(super) fn joined_rooms(scene: &Scene, who: Who) -> Vec<Question> {
    let answer = match who {
        Who::Guest => Answered::Refused(403),
        Who::Joined => own_rooms(&[&scene.room], &[]),
        Who::Never | Who::Invited | Who::Knocked | Who::Left | Who::Banned => own_rooms(&[], &[&scene.room]),
    };
    vec![ask("/_matrix/client/v3/joined_rooms".to_owned(), answer)]
}

/// A sync tells of one's own rooms only, and of those that one has left up to then.
pub(super) fn sync(scene: &Scene, who: Who) -> Vec<Question> {
    let filter = encode(r#"{"room":{"timeline":{"limit":100},"include_leave":true}}"#);
    let tells_of = |moment| {
        let in_time = who == Who::Joined || moment != Moment::Late;
        who.was_in() && in_time && scene.sees(who, moment)
    };
    let target = format!("/_matrix/client/v3/sync?filter={filter}");
    vec![ask(target, tells(&["said", "reply"], tells_of))]
}

/// What a sync tells, in its older form; to guests it is not given.
pub(super) fn initial_sync(scene: &Scene, who: Who) -> Vec<Question> {
    let Some(Question { answer, .. }) = sync(scene, who).pop() else {
        return Vec::new();
    };
    let answer = if who == Who::Guest {
        Answered::Refused(403)
    } else {
        answer
    };
    vec![ask(
        "/_matrix/client/v3/initialSync?limit=100&archived=true".to_owned(),
        answer,
    )]
}

pub(super) fn room_initial_sync(scene: &Scene, who: Who) -> Vec<Question> {
    let target = format!("{}/initialSync?limit=100", rooms(&scene.room));
    vec![
        ask(target.clone(), timeline(scene, who, &["said", "reply"])),
        ask(target, of_state(scene, who, None, "topic-late")),
    ]
}

/// Without a token it tells what comes from now on: nothing. A room is named only by who may look into it now.
pub(super) fn events(scene: &Scene, who: Who) -> Vec<Question> {
    let peek = format!("/_matrix/client/v3/events?timeout=0&room_id={}", encode(&scene.room));
    let answer = if scene.reads_now(who) {
        tells(&["said", "reply"], |_| false)
    } else {
        Answered::Refused(403)
    };
    vec![ask(peek, no_more(answer))]
}

/// A search looks through one's own rooms, and those that one has left up to then, or up to now if everybody may read them.
pub(super) fn search(scene: &Scene, who: Who) -> Vec<Question> {
    let body = |word: &str| {
        json!({"search_categories": {"room_events": {
            "search_term": word, "filter": {"rooms": [scene.room], "limit": 50}, "event_context": {"before_limit": 5, "after_limit": 5},
        }}})
    };
    let in_time = |moment| scene.reads_now(who) || moment != Moment::Late;
    ["said", "reply"]
        .into_iter()
        .map(|word| Question {
            target: "/_matrix/client/v3/search".to_owned(),
            body: Some(body(word)),
            answer: match who {
                Who::Guest => Answered::Refused(403),
                Who::Never | Who::Invited | Who::Knocked | Who::Joined | Who::Left | Who::Banned => {
                    tells(&[word], |moment| {
                        who.was_in() && in_time(moment) && scene.sees(who, moment)
                    })
                }
            },
        })
        .collect()
}

/// Nobody is notified of what he does not see.
pub(super) fn notifications(scene: &Scene, who: Who) -> Vec<Question> {
    let answer = match who {
        Who::Guest => Answered::Refused(403),
        Who::Never | Who::Invited | Who::Knocked | Who::Joined | Who::Left | Who::Banned => {
            no_more(tells(&["said", "reply"], |moment| {
                who.was_in() && scene.sees(who, moment)
            }))
        }
    };
    vec![ask("/_matrix/client/v3/notifications?limit=50".to_owned(), answer)]
}

/// Members know a room's aliases, and everybody those of a room that everybody reads.
pub(super) fn aliases(scene: &Scene, who: Who) -> Vec<Question> {
    let answer = if scene.reads_now(who) {
        own_rooms(&["aliases"], &[])
    } else {
        Answered::Refused(403)
    };
    vec![ask(format!("{}/aliases", rooms(&scene.room)), answer)]
}

pub(super) fn hierarchy(scene: &Scene, _: Who) -> Vec<Question> {
    let target = format!("/_matrix/client/v1/rooms/{}/hierarchy", encode(&scene.room));
    vec![ask(target, knockers_view(scene))]
}

pub(super) fn room_summary(scene: &Scene, _: Who) -> Vec<Question> {
    let target = format!("/_matrix/client/v1/room_summary/{}", encode(&scene.room));
    vec![ask(target, knockers_view(scene))]
}

/// The room is in no directory.
pub(super) fn public_rooms(scene: &Scene, _: Who) -> Vec<Question> {
    let answer = own_rooms(&["chunk"], &[&scene.room]);
    vec![ask("/_matrix/client/v3/publicRooms?limit=500".to_owned(), answer)]
}

pub(super) fn search_public_rooms(scene: &Scene, _: Who) -> Vec<Question> {
    vec![Question {
        target: "/_matrix/client/v3/publicRooms".to_owned(),
        body: Some(json!({"limit": 500, "filter": {"generic_search_term": "topic"}})),
        answer: own_rooms(&["chunk"], &[&scene.room]),
    }]
}

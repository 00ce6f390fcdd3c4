//! What each endpoint of the route table shows to whom.
//!
//! To add an endpoint: a function that gives the questions to ask of it, for somebody in a scene, with what the rules say of the answers, and its line in
//! [`ROWS`]. If it shows nothing of a room, a line in [`OTHERS`].

use plexus_tests::encode;
use serde_json::{Value, json};

use super::{MOMENTS, Moment, Scene, Who, rooms};

/// A request, and what may come back.
pub(super) struct Question {
    pub(super) target: String,
    /// With a body it is a POST.
    pub(super) body: Option<Value>,
    pub(super) answer: Answered,
}

pub(super) enum Answered {
    /// This status.
    Refused(u16),
    /// Success, with these words in it and not those.
    Tells { shown: Vec<String>, hidden: Vec<String> },
}

/// What an endpoint has to do with rooms.
pub(super) enum Row {
    /// Nothing, or only the asker's own things in them.
    Nothing,
    /// It changes a room: who may is decided by the rules for events, which the master's tests are about.
    Changes,
    /// It reads a room: the questions to ask, for somebody in a scene.
    Reads(fn(&Scene, Who) -> Vec<Question>),
}

/// The row of each endpoint by its name in the route table. Of families of endpoints that hold nothing of rooms, [`holds_nothing_of_rooms`] knows.
pub(super) const ROWS: &[(&str, Row)] = &[
    ("messages", Row::Reads(messages)),
    ("context", Row::Reads(context)),
    ("event", Row::Reads(event)),
    ("event_anywhere", Row::Reads(event_anywhere)),
    ("timestamp_to_event", Row::Reads(timestamp_to_event)),
    ("relations", Row::Reads(relations)),
    ("relations_of_type", Row::Reads(relations_of_type)),
    ("relations_of_type_and_event", Row::Reads(relations_of_type_and_event)),
    ("threads", Row::Reads(threads)),
    ("state", Row::Reads(state)),
    ("state_event", Row::Reads(state_event)),
    ("members", Row::Reads(members)),
    ("joined_members", Row::Reads(joined_members)),
    ("joined_rooms", Row::Reads(joined_rooms)),
    ("sync", Row::Reads(sync)),
    ("initial_sync", Row::Reads(initial_sync)),
    ("room_initial_sync", Row::Reads(room_initial_sync)),
    ("events", Row::Reads(events)),
    ("search", Row::Reads(search)),
    ("notifications", Row::Reads(notifications)),
    ("aliases", Row::Reads(aliases)),
    ("hierarchy", Row::Reads(hierarchy)),
    ("room_summary", Row::Reads(room_summary)),
    ("public_rooms", Row::Reads(public_rooms)),
    ("search_public_rooms", Row::Reads(search_public_rooms)),
];

fn ask(target: String, answer: Answered) -> Question {
    Question {
        target,
        body: None,
        answer,
    }
}

/// What was said at the moments that `sees` is true for, and nothing of the others. `words`: what stands before the moment's name.
fn tells(words: &[&str], sees: impl Fn(Moment) -> bool) -> Answered {
    let (mut shown, mut hidden) = (Vec::new(), Vec::new());
    for moment in MOMENTS {
        let list = if sees(moment) { &mut shown } else { &mut hidden };
        list.extend(words.iter().map(|word| format!("{word}-{moment:?}.")));
    }
    Answered::Tells { shown, hidden }
}

/// Refused, or all that the asker may see of what was said.
fn timeline(scene: &Scene, who: Who, words: &[&str]) -> Answered {
    if scene.may_look(who) {
        tells(words, |moment| scene.sees(who, moment))
    } else {
        Answered::Refused(403)
    }
}

/// Something about one event: not found, or it is told.
fn of_event(scene: &Scene, who: Who, moment: Moment, word: &str) -> Answered {
    if scene.sees(who, moment) {
        tells(&[word], |told| told == moment)
    } else {
        Answered::Refused(404)
    }
}

/// Refused, or what is so now for those who may know, and what was so when they went for the others.
fn of_state(scene: &Scene, who: Who, early: Option<&str>, late: &str) -> Answered {
    if !scene.may_look(who) {
        return Answered::Refused(403);
    }
    let early: Vec<String> = early.map(str::to_owned).into_iter().collect();
    let late = vec![late.to_owned()];
    let (shown, hidden) = if scene.reads_now(who) {
        (late, early)
    } else {
        (early, late)
    };
    Answered::Tells { shown, hidden }
}

fn messages(scene: &Scene, who: Who) -> Vec<Question> {
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

fn context(scene: &Scene, who: Who) -> Vec<Question> {
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

fn event(scene: &Scene, who: Who) -> Vec<Question> {
    let question = |moment| {
        let target = format!("{}/event/{}", rooms(&scene.room), encode(scene.event(moment)));
        ask(target, of_event(scene, who, moment, "said"))
    };
    MOMENTS.map(question).into()
}

fn event_anywhere(scene: &Scene, who: Who) -> Vec<Question> {
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

fn timestamp_to_event(scene: &Scene, who: Who) -> Vec<Question> {
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

fn relations(scene: &Scene, who: Who) -> Vec<Question> {
    replies(scene, who, "?recurse=true")
}

fn relations_of_type(scene: &Scene, who: Who) -> Vec<Question> {
    replies(scene, who, "/m.thread")
}

fn relations_of_type_and_event(scene: &Scene, who: Who) -> Vec<Question> {
    replies(scene, who, "/m.thread/m.room.message?dir=f")
}

fn threads(scene: &Scene, who: Who) -> Vec<Question> {
    let answer = if who == Who::Guest {
        Answered::Refused(403)
    } else {
        timeline(scene, who, &["said", "reply"])
    };
    let target = format!("/_matrix/client/v1/rooms/{}/threads?limit=50", encode(&scene.room));
    vec![ask(target, answer)]
}

fn state(scene: &Scene, who: Who) -> Vec<Question> {
    let target = format!("{}/state", rooms(&scene.room));
    vec![ask(target, of_state(scene, who, Some("topic-early"), "topic-late"))]
}

fn state_event(scene: &Scene, who: Who) -> Vec<Question> {
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
fn members(scene: &Scene, who: Who) -> Vec<Question> {
    let knocked = scene.people.iter().find(|(who, _)| *who == Who::Knocked);
    let knocked = knocked.map_or("", |(_, user)| user.id.as_str());
    let target = format!("{}/members", rooms(&scene.room));
    vec![ask(target, of_state(scene, who, None, knocked))]
}

fn joined_members(scene: &Scene, who: Who) -> Vec<Question> {
    let answer = if who == Who::Joined {
        own_rooms(&["joined"], &[])
    } else {
        Answered::Refused(403)
    };
    vec![ask(format!("{}/joined_members", rooms(&scene.room)), answer)]
}

fn joined_rooms(scene: &Scene, who: Who) -> Vec<Question> {
    let answer = match who {
        Who::Guest => Answered::Refused(403),
        Who::Joined => own_rooms(&[&scene.room], &[]),
        _ => own_rooms(&[], &[&scene.room]),
    };
    vec![ask("/_matrix/client/v3/joined_rooms".to_owned(), answer)]
}

fn own_rooms(shown: &[&str], hidden: &[&str]) -> Answered {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    Answered::Tells {
        shown: owned(shown),
        hidden: owned(hidden),
    }
}

/// A sync tells of one's own rooms only, and of those that one has left up to then.
fn sync(scene: &Scene, who: Who) -> Vec<Question> {
    let filter = encode(r#"{"room":{"timeline":{"limit":100},"include_leave":true}}"#);
    let tells_of = |moment| {
        let in_time = who == Who::Joined || moment != Moment::Late;
        who.was_in() && in_time && scene.sees(who, moment)
    };
    let target = format!("/_matrix/client/v3/sync?filter={filter}");
    vec![ask(target, tells(&["said", "reply"], tells_of))]
}

/// What a sync tells, in its older form; to guests it is not given.
fn initial_sync(scene: &Scene, who: Who) -> Vec<Question> {
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

fn room_initial_sync(scene: &Scene, who: Who) -> Vec<Question> {
    let target = format!("{}/initialSync?limit=100", rooms(&scene.room));
    vec![
        ask(target.clone(), timeline(scene, who, &["said", "reply"])),
        ask(target, of_state(scene, who, None, "topic-late")),
    ]
}

/// Without a token it tells what comes from now on: nothing. A room is named only by who may look into it now.
fn events(scene: &Scene, who: Who) -> Vec<Question> {
    let peek = format!("/_matrix/client/v3/events?timeout=0&room_id={}", encode(&scene.room));
    let answer = if scene.reads_now(who) {
        tells(&["said", "reply"], |_| false)
    } else {
        Answered::Refused(403)
    };
    vec![ask(peek, no_more(answer))]
}

/// The same answer, of which nothing need be shown.
fn no_more(answer: Answered) -> Answered {
    match answer {
        Answered::Tells { hidden, .. } => Answered::Tells {
            shown: Vec::new(),
            hidden,
        },
        refused @ Answered::Refused(_) => refused,
    }
}

/// A search looks through one's own rooms, and those that one has left up to then, or up to now if everybody may read them.
fn search(scene: &Scene, who: Who) -> Vec<Question> {
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
                _ => tells(&[word], |moment| {
                    who.was_in() && in_time(moment) && scene.sees(who, moment)
                }),
            },
        })
        .collect()
}

/// Nobody is notified of what he does not see.
fn notifications(scene: &Scene, who: Who) -> Vec<Question> {
    let answer = match who {
        Who::Guest => Answered::Refused(403),
        _ => no_more(tells(&["said", "reply"], |moment| {
            who.was_in() && scene.sees(who, moment)
        })),
    };
    vec![ask("/_matrix/client/v3/notifications?limit=50".to_owned(), answer)]
}

/// Members know a room's aliases, and everybody those of a room that everybody reads.
fn aliases(scene: &Scene, who: Who) -> Vec<Question> {
    let answer = if scene.reads_now(who) {
        own_rooms(&["aliases"], &[])
    } else {
        Answered::Refused(403)
    };
    vec![ask(format!("{}/aliases", rooms(&scene.room)), answer)]
}

/// Where anybody may knock, anybody may know what the room is called; nothing that was said in it.
fn knockers_view(scene: &Scene) -> Answered {
    let Answered::Tells { hidden, .. } = tells(&["said", "reply"], |_| false) else {
        return Answered::Refused(403);
    };
    Answered::Tells {
        shown: vec!["topic-late".to_owned(), scene.room.clone()],
        hidden,
    }
}

fn hierarchy(scene: &Scene, _: Who) -> Vec<Question> {
    let target = format!("/_matrix/client/v1/rooms/{}/hierarchy", encode(&scene.room));
    vec![ask(target, knockers_view(scene))]
}

fn room_summary(scene: &Scene, _: Who) -> Vec<Question> {
    let target = format!("/_matrix/client/v1/room_summary/{}", encode(&scene.room));
    vec![ask(target, knockers_view(scene))]
}

/// The room is in no directory.
fn public_rooms(scene: &Scene, _: Who) -> Vec<Question> {
    let answer = own_rooms(&["chunk"], &[&scene.room]);
    vec![ask("/_matrix/client/v3/publicRooms?limit=500".to_owned(), answer)]
}

fn search_public_rooms(scene: &Scene, _: Who) -> Vec<Question> {
    vec![Question {
        target: "/_matrix/client/v3/publicRooms".to_owned(),
        body: Some(json!({"limit": 500, "filter": {"generic_search_term": "topic"}})),
        answer: own_rooms(&["chunk"], &[&scene.room]),
    }]
}

/// Families of endpoints that hold nothing of rooms, or only the asker's own things, by their paths without the version.
fn holds_nothing_of_rooms(path: &str) -> bool {
    const BEGINNINGS: [&str; 24] = [
        "/account",
        "/admin",
        "/auth",
        "/auth_metadata",
        "/capabilities",
        "/delete_devices",
        "/devices",
        "/keys",
        "/login",
        "/logout",
        "/media",
        "/presence",
        "/profile",
        "/pushers",
        "/pushrules",
        "/refresh",
        "/register",
        "/room_keys",
        "/sendToDevice",
        "/thirdparty",
        "/user",
        "/user_directory",
        "/versions",
        "/voip",
    ];
    let path = path.strip_prefix("/_matrix/client").unwrap_or(path);
    let versions = ["/v1", "/v3", "/r0", "/api/v1", "/unstable"];
    let path = versions
        .iter()
        .find_map(|version| path.strip_prefix(version))
        .unwrap_or(path);
    // Before it was stable, it was somebody's: `/org.matrix.msc3882/login/get_token`.
    let vendors = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    let path = match vendors {
        Some((vendor, rest)) if vendor.contains('.') && vendor != ".well-known" => &path[path.len() - rest.len() - 1..],
        _ => path,
    };
    let others = [
        "/_matrix/media",
        "/_matrix/federation/v1/openid",
        "/_synapse/admin",
        "/.well-known",
    ];
    BEGINNINGS.iter().chain(&others).any(|beginning| {
        path.strip_prefix(beginning)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The row of an endpoint of the table, if it has one.
pub(super) fn row_of(route: &Value) -> Option<&'static Row> {
    let name = route["name"].as_str().expect("a name");
    if let Some((_, row)) = ROWS.iter().chain(OTHERS).find(|(known, _)| *known == name) {
        return Some(row);
    }
    let mut paths = route["paths"]
        .as_array()
        .expect("paths")
        .iter()
        .filter_map(Value::as_str);
    if paths.all(holds_nothing_of_rooms) {
        return Some(&Row::Nothing);
    }
    let changes = route["method"] != "GET" && route["method"] != "POST";
    changes.then_some(&Row::Changes)
}

/// Endpoints that read nothing of a room, though their paths do not say so.
const OTHERS: &[(&str, Row)] = &[
    ("create_room", Row::Changes),
    ("join", Row::Changes),
    ("join_by_id", Row::Changes),
    ("knock", Row::Changes),
    ("invite", Row::Changes),
    ("leave", Row::Changes),
    ("forget", Row::Changes),
    ("kick", Row::Changes),
    ("ban", Row::Changes),
    ("unban", Row::Changes),
    ("upgrade", Row::Changes),
    ("receipt", Row::Changes),
    ("read_markers", Row::Changes),
    ("send_once", Row::Changes),
    ("redact_once", Row::Changes),
    ("report_room", Row::Changes),
    ("report_event", Row::Changes),
    ("report_user", Row::Changes),
    // What an alias leads to, and whether a room is in the directory, is for everybody.
    ("alias", Row::Nothing),
    ("listed", Row::Nothing),
    // Rooms that both users are in, and no more of them than their ids.
    ("mutual_rooms", Row::Nothing),
];

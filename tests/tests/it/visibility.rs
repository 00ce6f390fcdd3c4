//! Who may see what of a room (HOSTILE 10): everybody x every endpoint that reads a room x every history visibility.
//!
//! Every endpoint of the route table has a row in [`rows::ROWS`], which says how it is asked and what it may answer. What it may answer is worked out from the
//! specification's rules ([`Scene::sees`]), not recorded. A new endpoint without a row fails the test here, which then says what to do.

mod rows;

use std::sync::Arc;

use http::Method;
use plexus_tests::{Cluster, Http, PASSWORD, User, encode, run_plexus};
use serde_json::{Value, json};

use self::rows::{Answered, Question, Row, row_of};

super::scenarios! {
    everybody_sees_what_the_rules_say,
    what_the_erased_said_is_for_those_who_were_there,
}

/// What somebody is to the room when he asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Nothing, and never was.
    Never,
    Invited,
    Knocked,
    Joined,
    Left,
    Banned,
    /// Nothing, and has no account.
    Guest,
}

/// Everybody who asks.
const EVERYBODY: [Who; 7] = [
    Who::Never,
    Who::Invited,
    Who::Knocked,
    Who::Joined,
    Who::Left,
    Who::Banned,
    Who::Guest,
];

/// When something is said: before anybody is asked in, between invite and join, while all who come are there, and after some have gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Early,
    Between,
    During,
    Late,
}

const MOMENTS: [Moment; 4] = [Moment::Early, Moment::Between, Moment::During, Moment::Late];

const VISIBILITIES: [&str; 4] = ["world_readable", "shared", "invited", "joined"];

/// A room in which something was said at every moment, by its creator.
struct Scene {
    visibility: &'static str,
    room: String,
    /// The event of each moment.
    said: [String; 4],
    people: Vec<(Who, User)>,
}

impl Who {
    /// What he was to the room at a moment, as the member events of [`Scene::play`] have it.
    fn membership(self, moment: Moment) -> &'static str {
        use Moment::{Between, During, Early, Late};
        match (self, moment) {
            (Self::Invited | Self::Joined | Self::Left | Self::Banned, Between) | (Self::Invited, During | Late) => {
                "invite"
            }
            (Self::Joined | Self::Left | Self::Banned, During) | (Self::Joined, Late) => "join",
            (Self::Left, Late) => "leave",
            (Self::Banned, Late) => "ban",
            (Self::Knocked, Late) => "knock",
            (Self::Never | Self::Guest, _) | (_, Early) | (Self::Knocked, Between | During) => "none",
        }
    }

    /// Whether he joined after a moment.
    fn joined_later(self, moment: Moment) -> bool {
        self.was_in() && matches!(moment, Moment::Early | Moment::Between)
    }

    /// Whether he is or was a member.
    fn was_in(self) -> bool {
        matches!(self, Self::Joined | Self::Left | Self::Banned)
    }
}

impl Scene {
    /// Creates the room, and lets everybody come, go and be thrown out.
    async fn play(http: &Http, visibility: &'static str) -> Self {
        let alice = User::register(http, "alice").await;
        let create = json!({
            "preset": "private_chat", "topic": "topic-early",
            "initial_state": [
                {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": visibility}},
                {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}},
            ],
        });
        let room = alice.create_room(&create).await;
        let mut people = Vec::new();
        for who in EVERYBODY {
            let user = match who {
                Who::Guest => register_guest(http).await,
                Who::Never | Who::Invited | Who::Knocked | Who::Joined | Who::Left | Who::Banned => {
                    User::register(http, &format!("{who:?}").to_lowercase()).await
                }
            };
            people.push((who, user));
        }
        let early = say(&alice, &room, Moment::Early).await;
        let comes = |who: &Who| who.was_in() || *who == Who::Invited;
        for (_, user) in people.iter().filter(|(who, _)| comes(who)) {
            alice.invite(&room, user).await;
        }
        let between = say(&alice, &room, Moment::Between).await;
        for (_, user) in people.iter().filter(|(who, _)| who.was_in()) {
            user.join(&room).await;
        }
        let during = say(&alice, &room, Moment::During).await;
        // Who knocks comes when the others have gone.
        let knocks_last = |who: &Who| *who == Who::Knocked;
        let gone = people.iter().filter(|(who, _)| !knocks_last(who));
        for (who, user) in gone.chain(people.iter().filter(|(who, _)| knocks_last(who))) {
            let member = format!("{}/state/m.room.member/{}", rooms(&room), encode(&user.id));
            match who {
                Who::Left => drop(user.act(&room, "leave", &json!({})).await.ok()),
                Who::Banned => drop(alice.act(&room, "ban", &json!({"user_id": user.id})).await.ok()),
                Who::Knocked => drop(user.http.put(&member, &json!({"membership": "knock"})).await.ok()),
                Who::Never | Who::Invited | Who::Joined | Who::Guest => {}
            }
        }
        let topic = format!("{}/state/m.room.topic", rooms(&room));
        alice.http.put(&topic, &json!({"topic": "topic-late"})).await.ok();
        let late = say(&alice, &room, Moment::Late).await;
        // Where everybody has come to in the log is where every process answers from.
        for (_, user) in &people {
            user.sync(None, 0, "").await.ok();
        }
        Self {
            visibility,
            room,
            said: [early, between, during, late],
            people,
        }
    }

    /// Whether somebody may look into the room at all.
    fn may_look(&self, who: Who) -> bool {
        who.was_in() || self.visibility == "world_readable"
    }

    /// The rules of <https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-6>.
    fn sees(&self, who: Who, moment: Moment) -> bool {
        let membership = who.membership(moment);
        let rules = self.visibility == "world_readable"
            || membership == "join"
            || self.visibility == "shared" && who.joined_later(moment)
            || self.visibility == "invited" && membership == "invite";
        self.may_look(who) && rules
    }

    /// Whether somebody reads the state as it is now, and not as it was when he went.
    fn reads_now(&self, who: Who) -> bool {
        who == Who::Joined || self.visibility == "world_readable"
    }

    fn event(&self, moment: Moment) -> &str {
        &self.said[moment as usize]
    }
}

async fn register_guest(http: &Http) -> User {
    let answer = http
        .post("/_matrix/client/v3/register?kind=guest", &json!({}))
        .await
        .ok();
    let text = |key: &str| {
        answer[key]
            .as_str()
            .unwrap_or_else(|| panic!("no {key}: {answer}"))
            .to_owned()
    };
    User {
        id: text("user_id"),
        device: text("device_id"),
        http: http.with_token(&text("access_token")),
    }
}

/// A message and a reply in its thread, both of which name the moment.
async fn say(alice: &User, room: &str, moment: Moment) -> String {
    let event = alice.say(room, &format!("said-{moment:?}.")).await;
    let reply = json!({
        "msgtype": "m.text", "body": format!("reply-{moment:?}."), "m.relates_to": {"rel_type": "m.thread", "event_id": event},
    });
    let target = format!("{}/send/m.room.message/reply-{moment:?}", rooms(room));
    alice.http.put(&target, &reply).await.ok();
    event
}

fn rooms(room: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}", encode(room))
}

/// The route table, as the program prints it.
fn route_table() -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let printed = run_plexus(folder.path(), &["routes", "--format", "json"]);
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    serde_json::from_slice(&printed.stdout).expect("a JSON array")
}

async fn everybody_sees_what_the_rules_say(cluster: Arc<Cluster>) {
    let table = tokio::task::spawn_blocking(route_table).await.expect("it is printed");
    let rows: Vec<(&str, Option<&Row>)> = table
        .iter()
        .map(|route| (route["name"].as_str().unwrap_or_default(), row_of(route)))
        .collect();
    let missing: Vec<&str> = rows
        .iter()
        .filter(|(_, row)| row.is_none())
        .map(|(name, _)| *name)
        .collect();
    assert!(
        missing.is_empty(),
        "nobody has said who may see what of {missing:?}. Give each a line in ROWS of {}, with the questions to ask and what the rules say of the answers; \
         or in OTHERS if it shows nothing of a room",
        "tests/tests/it/visibility/rows.rs"
    );
    for visibility in VISIBILITIES {
        let scene = Scene::play(&cluster.http(), visibility).await;
        for (name, row) in &rows {
            let Some(Row::Reads(questions)) = row else { continue };
            for (who, user) in &scene.people {
                for question in questions(&scene, *who) {
                    check(&question, user, &format!("{name}: {who:?} in a {visibility} room")).await;
                }
            }
        }
    }
}

async fn check(question: &Question, user: &User, what: &str) {
    let answer = match &question.body {
        Some(body) => user.http.post(&question.target, body).await,
        None => user.http.send(Method::GET, &question.target, "").await,
    };
    let text = answer.text();
    let all = format!("{what}: {} {text:.2000}", question.target);
    match &question.answer {
        Answered::Refused(status) => {
            assert_eq!(answer.status, *status, "{all}");
            assert!(!text.contains("said-") && !text.contains("topic-"), "{all}");
        }
        Answered::Tells { shown, hidden } => {
            assert_eq!(answer.status, 200, "{all}");
            for word in shown {
                assert!(text.contains(word.as_str()), "{word} is missing. {all}");
            }
            for word in hidden {
                assert!(!text.contains(word.as_str()), "{word} should not be seen. {all}");
            }
        }
    }
}

async fn what_the_erased_said_is_for_those_who_were_there(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let people = [
        User::register(&http, "author").await,
        User::register(&http, "witness").await,
        User::register(&http, "later").await,
    ];
    let [author, witness, later] = &people;
    let room = author.create_public_room().await;
    witness.join(&room).await;
    let letter = author.say(&room, "a letter").await;
    later.join(&room).await;
    let read = async |user: &User| {
        user.sync(None, 0, "").await.ok();
        let event = user
            .http
            .get(&format!("{}/event/{}", rooms(&room), encode(&letter)))
            .await
            .ok();
        let page = user.messages(&room, "b", "&limit=50").await.ok();
        let chunk = page["chunk"].as_array().expect("a chunk").clone();
        let on_page = chunk
            .into_iter()
            .find(|event| event["event_id"] == letter.as_str())
            .expect("the letter");
        assert_eq!(on_page["content"], event["content"]);
        event["content"].clone()
    };
    assert_eq!(read(later).await["body"], "a letter");
    let deactivate = json!({
        "erase": true,
        "auth": {
            "type": "m.login.password", "identifier": {"type": "m.id.user", "user": author.id}, "password": PASSWORD,
        },
    });
    author
        .http
        .post("/_matrix/client/v3/account/deactivate", &deactivate)
        .await
        .ok();
    assert_eq!(read(witness).await["body"], "a letter");
    assert_eq!(read(later).await, json!({}));
}

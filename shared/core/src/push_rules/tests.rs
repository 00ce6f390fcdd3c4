mod conditions;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use ruma::{EventId, push, user_id};
use serde_json::{Value, json};

use super::{glob::Glob, *};
use crate::{
    event::{EventBody, canonical::canonicalize},
    room_version::RoomVersion,
};

const VERSION: RoomVersion = RoomVersion::V11;
const BOB: &str = "@bob:x";

fn body(kind: &str, state_key: Option<&str>, content: &Value) -> EventBody {
    let mut event = json!({
        "auth_events": [], "content": content, "depth": 1, "origin_server_ts": 1, "prev_events": [],
        "room_id": "!room:x", "sender": "@alice:x", "type": kind,
    });
    if let Some(state_key) = state_key {
        event["state_key"] = state_key.into();
    }
    let mut canonical = Vec::new();
    canonicalize(event.to_string().as_bytes(), VERSION.rules().numbers, &mut canonical).unwrap();
    let id = EventId::parse(format!("${}", "a".repeat(43))).unwrap();
    EventBody::load(id, VERSION.rules(), canonical).unwrap()
}

fn message(text: &str) -> EventBody {
    body("m.room.message", None, &json!({"msgtype": "m.text", "body": text}))
}

fn room(may_notify: &dyn Fn(&str) -> bool) -> Room<'_> {
    Room {
        user_id: BOB,
        display_name: Some("Bob *the* builder"),
        members: 3,
        may_notify,
    }
}

fn loudness(rules: &Ruleset, event: &EventBody, may_notify: bool) -> (bool, bool) {
    let may_notify = |_: &str| may_notify;
    let rules = Rules::compile(rules);
    let answer = rules.ask(&Event::new(event), &room(&may_notify));
    answer.map_or((false, false), |answer| (answer.notifies, answer.highlights))
}

fn defaults() -> Ruleset {
    server_default(user_id!("@bob:x"))
}

fn put(rules: &mut Ruleset, kind: Kind, rule_id: &str, rule: Value) {
    let rule = serde_json::from_value(rule).unwrap();
    rules.put(kind, rule_id, rule, Place::default()).unwrap();
}

#[test]
fn the_default_rules_are_those_of_the_specification() {
    // ruma's follow the same version.
    let theirs = serde_json::to_value(push::Ruleset::server_default(user_id!("@bob:x"))).unwrap();
    let ours = serde_json::to_value(defaults()).unwrap();
    for kind in ["override", "underride"] {
        assert_eq!(ours[kind], theirs[kind], "{kind}");
    }
    assert!(["content", "room", "sender"].iter().all(|kind| ours[kind] == json!([])));
}

#[test]
fn stored_rules_are_brought_up_to_date() {
    let mut stored = defaults();
    put(&mut stored, Kind::Override, "mine", json!({"actions": ["notify"]}));
    stored.set_enabled(Kind::Override, ".m.rule.reaction", false).unwrap();
    stored.override_.retain(|rule| rule.rule_id != ".m.rule.tombstone");
    stored.underride.push(Rule {
        rule_id: ".m.rule.of_old".to_owned(),
        ..stored.underride[0].clone()
    });
    let mut expected = defaults();
    put(&mut expected, Kind::Override, "mine", json!({"actions": ["notify"]}));
    expected.set_enabled(Kind::Override, ".m.rule.reaction", false).unwrap();
    assert_eq!(stored.on(&defaults()), expected);
}

#[test]
fn rules_keep_the_order_that_is_asked_for() {
    let mut rules = defaults();
    let order = |rules: &Ruleset| -> Vec<String> { rules.room.iter().map(|rule| rule.rule_id.clone()).collect() };
    let rule = || NewRule {
        actions: vec![json!("notify")],
        conditions: None,
        pattern: None,
    };
    let place = |before, after| Place { before, after };
    rules.put(Kind::Room, "#a:x", rule(), Place::default()).unwrap();
    rules.put(Kind::Room, "#b:x", rule(), Place::default()).unwrap();
    rules
        .put(Kind::Room, "#c:x", rule(), place(Some("#a:x"), None))
        .unwrap();
    assert_eq!(order(&rules), ["#b:x", "#c:x", "#a:x"]);
    rules
        .put(Kind::Room, "#c:x", rule(), place(None, Some("#a:x")))
        .unwrap();
    assert_eq!(order(&rules), ["#b:x", "#a:x", "#c:x"]);
    rules.set_enabled(Kind::Room, "#c:x", false).unwrap();
    rules
        .put(Kind::Room, "#c:x", rule(), place(Some("#b:x"), Some("#a:x")))
        .unwrap();
    assert_eq!(order(&rules), ["#c:x", "#b:x", "#a:x"]);
    assert!(!rules.get(Kind::Room, "#c:x").unwrap().enabled, "it stays as it was");
    rules.put(Kind::Room, "#b:x", rule(), Place::default()).unwrap();
    assert_eq!(order(&rules), ["#c:x", "#b:x", "#a:x"], "it stays where it is");
    for wrong in [place(Some("#none:x"), None), place(None, Some("#none:x"))] {
        assert!(matches!(
            rules.put(Kind::Room, "#d:x", rule(), wrong),
            Err(ChangeError::Invalid(_))
        ));
    }
    let relative = rules.put(Kind::Override, "d", rule(), place(Some(".m.rule.tombstone"), None));
    assert!(matches!(relative, Err(ChangeError::Invalid(_))));
    rules.put(Kind::Override, "d", rule(), Place::default()).unwrap();
    assert_eq!(
        [&rules.override_[0].rule_id, &rules.override_[1].rule_id],
        [".m.rule.master", "d"]
    );
    assert_eq!(order(&rules).len(), 3);
}

#[test]
fn what_is_no_rule_is_refused() {
    let mut rules = defaults();
    let mut refused = |kind, rule_id: &str, rule: Value| {
        let rule: NewRule = serde_json::from_value(rule).unwrap();
        let refusal = rules.put(kind, rule_id, rule, Place::default());
        assert!(
            matches!(refusal, Err(ChangeError::Invalid(_))),
            "{rule_id}: {refusal:?}"
        );
    };
    refused(Kind::Room, ".m.rule.mine", json!({"actions": []}));
    refused(Kind::Room, "a/b", json!({"actions": []}));
    refused(Kind::Room, r"a\b", json!({"actions": []}));
    refused(Kind::Room, "", json!({"actions": []}));
    refused(Kind::Room, &"x".repeat(256), json!({"actions": []}));
    refused(Kind::Room, "a", json!({"actions": ["not_an_action"]}));
    refused(Kind::Room, "a", json!({"actions": [{"set_tweak": 1}]}));
    refused(Kind::Content, "a", json!({"actions": []}));
    refused(Kind::Override, "a", json!({"actions": [], "conditions": [{}]}));
    assert_eq!(rules, defaults());
    assert_eq!(rules.delete(Kind::Room, "a"), Err(ChangeError::NotFound));
    assert!(matches!(
        rules.delete(Kind::Override, ".m.rule.master"),
        Err(ChangeError::Invalid(_))
    ));
    assert_eq!(
        rules.set_enabled(Kind::Override, ".no", true),
        Err(ChangeError::NotFound)
    );
    assert_eq!(
        rules.set_actions(Kind::Sender, "@a:x", vec![]),
        Err(ChangeError::NotFound)
    );
    rules
        .set_actions(Kind::Override, ".m.rule.master", vec![json!("dont_notify")])
        .unwrap();
    assert_eq!(
        rules.get(Kind::Override, ".m.rule.master").unwrap().actions,
        ["dont_notify"]
    );
}

#[test]
fn the_number_and_size_of_rules_are_bounded() {
    let mut rules = defaults();
    let rule = |pattern: &str| NewRule {
        actions: vec![],
        conditions: None,
        pattern: Some(pattern.to_owned()),
    };
    let large = rules.put(Kind::Content, "x", rule(&"x".repeat(RULE_BYTES_MAX)), Place::default());
    assert!(matches!(large, Err(ChangeError::TooMuch(_))));
    for number in 0..RULES_MAX {
        rules
            .put(Kind::Content, &number.to_string(), rule("x"), Place::default())
            .unwrap();
    }
    let many = rules.put(Kind::Content, "more", rule("x"), Place::default());
    assert!(matches!(many, Err(ChangeError::TooMuch(_))));
    rules.put(Kind::Content, "7", rule("y"), Place::default()).unwrap();
    let mut rules = defaults();
    let heavy = (0..RULES_MAX).find_map(|number| {
        let put = rules.put(
            Kind::Content,
            &number.to_string(),
            rule(&"x".repeat(3_000)),
            Place::default(),
        );
        put.err()
    });
    assert!(matches!(heavy, Some(ChangeError::TooMuch(_))));
}

#[test]
fn patterns_match_whole_values_or_words() {
    let chars = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    let whole = [
        ("lunc?*", "Lunch plans", true),
        ("lunc?*", "LUNCH", true),
        ("lunc?*", " lunch", false),
        ("lunc?*", "lunc", false),
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("ab*ba", "aba", false),
        ("**a**", "xax", true),
    ];
    for (pattern, text, expected) in whole {
        assert_eq!(
            Glob::compile(pattern).matches(&chars(text)),
            expected,
            "{pattern} {text}"
        );
    }
    let words = [
        ("ex*ple", "An example event.", true),
        ("ex*ple", "exple", true),
        ("ex*ple", "An exciting triple-whammy", true),
        ("cake", "a CAKE!", true),
        ("cake", "cakes", false),
        ("cake", "pan_cake", false),
        ("cake", "pancake cake", true),
        ("*cake", "pancake", true),
        ("cake*", "cakes", true),
        ("?ake", "we bake", true),
        ("@room", "hello @room: hi", true),
        ("тест", "тест", true),
        ("*", "anything", true),
        ("a*b", "xa b ab a b", true),
    ];
    for (pattern, text, expected) in words {
        assert_eq!(
            Glob::compile(pattern).matches_words(&chars(text)),
            expected,
            "{pattern} {text}"
        );
    }
}

#[test]
fn rules_are_tried_in_the_order_of_their_kinds() {
    let mut rules = defaults();
    let event = message("tea time");
    assert_eq!(loudness(&rules, &event, false), (true, false));
    put(&mut rules, Kind::Underride, "u", json!({"actions": []}));
    assert_eq!(loudness(&rules, &event, false), (false, false));
    let loud = json!(["notify", {"set_tweak": "highlight"}]);
    put(&mut rules, Kind::Sender, "@alice:x", json!({"actions": loud}));
    assert_eq!(loudness(&rules, &event, false), (true, true));
    put(
        &mut rules,
        Kind::Room,
        "!room:x",
        json!({"actions": ["notify", {"set_tweak": "highlight", "value": false}]}),
    );
    assert_eq!(loudness(&rules, &event, false), (true, false));
    put(
        &mut rules,
        Kind::Content,
        "tea",
        json!({"actions": loud, "pattern": "tea"}),
    );
    assert_eq!(loudness(&rules, &event, false), (true, true));
    put(&mut rules, Kind::Override, "o", json!({"actions": ["dont_notify"]}));
    assert_eq!(loudness(&rules, &event, false), (false, false));
    rules.set_enabled(Kind::Override, "o", false).unwrap();
    assert_eq!(loudness(&rules, &event, false), (true, true));
    rules.set_enabled(Kind::Override, ".m.rule.master", true).unwrap();
    assert_eq!(loudness(&rules, &event, false), (false, false));
    let rules = Rules::compile(&rules);
    let own = rules.ask(
        &Event::new(&event),
        &Room {
            user_id: "@alice:x",
            ..room(&|_| true)
        },
    );
    assert!(own.is_none(), "nobody is told what he says himself");
}

fn kinds() -> impl Strategy<Value = (&'static str, Option<&'static str>)> {
    prop_oneof![
        4 => Just(("m.room.message", None)),
        1 => Just(("M.Room.Encrypted", None)),
        1 => Just(("m.call.invite", None)),
        1 => Just(("m.reaction", None)),
        1 => Just(("m.room.member", Some(BOB))),
        1 => Just(("m.room.tombstone", Some(""))),
        1 => Just(("m.room.tombstone", Some("x"))),
        1 => Just(("m.room.server_acl", Some(""))),
        1 => Just(("m.room.name", Some(""))),
        1 => Just(("m.custom", None)),
    ]
}

fn contents() -> impl Strategy<Value = Value> {
    let msgtypes = prop_oneof![Just(json!("m.text")), Just(json!("M.notice")), Just(json!(1))];
    let mentions = prop_oneof![
        3 => Just(json!(null)),
        1 => Just(json!({})),
        1 => Just(json!({"user_ids": [BOB, "@c:x", BOB]})),
        1 => Just(json!({"user_ids": ["@c:x"], "room": true})),
        1 => Just(json!({"user_ids": BOB, "room": "true"})),
        1 => Just(json!("everybody")),
    ];
    let relations = prop_oneof![3 => Just(json!(null)), 1 => Just(json!({"rel_type": "m.replace"})), 1 => Just(json!({"rel_type": "m.thread"}))];
    (msgtypes, mentions, relations).prop_map(|(msgtype, mentions, relation)| {
        let mut content = json!({"msgtype": msgtype, "body": "x"});
        for (key, value) in [("m.mentions", mentions), ("m.relates_to", relation)] {
            if !value.is_null() {
                content[key] = value;
            }
        }
        content
    })
}

proptest! {
    /// What is counted for all members at once is what the rules say of each.
    #[test]
    fn the_effect_on_everybody_is_what_the_default_rules_say((kind, state_key) in kinds(), content in contents(), may in any::<bool>()) {
        let event = body(kind, state_key, &content);
        let effect = Effect::of(event.kind(), event.state_key(), event.content(), || may);
        let mentioned = effect.mentions.iter().any(|user| user == BOB);
        prop_assert_eq!(loudness(&defaults(), &event, may), (effect.notifies || mentioned, effect.highlights || mentioned));
        prop_assert!(may_highlight(event.kind(), event.content()) || !(effect.highlights || mentioned));
    }

    /// No choice of texts makes the matcher disagree with trying everything.
    #[test]
    fn patterns_match_as_if_everything_was_tried(pattern in "[ab?*]{0,6}", text in "[ab ]{0,8}") {
        let chars: Vec<char> = text.chars().collect();
        prop_assert_eq!(Glob::compile(&pattern).matches(&chars), tried(&pattern, &text));
        let is_word = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_alphanumeric);
        let boundary = |at: usize| at == 0 || !(is_word(at - 1) && is_word(at));
        let on_words = (0..=text.len()).any(|from| (from..=text.len()).any(|to| boundary(from) && boundary(to) && tried(&pattern, &text[from..to])));
        prop_assert_eq!(Glob::compile(&pattern).matches_words(&chars), on_words);
    }
}

fn tried(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => tried(&pattern[1..], text) || !text.is_empty() && tried(pattern, &text[1..]),
        (Some(wanted), Some(found)) if wanted == '?' || wanted == found => tried(&pattern[1..], &text[1..]),
        _ => false,
    }
}

/// HOSTILE 18: patterns full of `*` take time in proportion to the text and to their number, up to a thousand of them and 64 kB.
#[test]
fn hostile_patterns_take_linear_time() {
    let time = |patterns: usize, bytes: usize| {
        let mut rules = defaults();
        for number in 0..patterns {
            let pattern = format!("{}{number}", "a*".repeat(60));
            put(
                &mut rules,
                Kind::Content,
                &number.to_string(),
                json!({"actions": [], "pattern": pattern}),
            );
        }
        let rules = Rules::compile(&rules);
        let event = message(&"a".repeat(bytes));
        let begun = Instant::now();
        let answer = rules.ask(&Event::new(&event), &room(&|_| false));
        assert!(
            answer.is_some_and(|answer| answer.notifies),
            "no pattern holds, the default does"
        );
        begun.elapsed()
    };
    // Four times the text, four times the time, and then some for a busy machine; the same work in another shape, the same time.
    let (short, long) = (time(50, 16_000), time(50, 64_000));
    let many = time(RULES_MAX, 3_200);
    let slack = Duration::from_secs(2);
    assert!(long < short * 16 + slack, "{short:?} {long:?}");
    assert!(many < long * 16 + slack, "{long:?} {many:?}");
}

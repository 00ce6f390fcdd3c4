use std::fmt::Write as _;

use proptest::prelude::*;
use ruma::CanonicalJsonValue;
use serde_json::{Value, json};

use super::*;

fn canonical(text: &str, numbers: Numbers) -> Result<String, JsonError> {
    let mut out = Vec::new();
    canonicalize(text.as_bytes(), numbers, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn the_specifications_examples() {
    let cases = [
        ("{}", "{}"),
        ("{\n \"one\": 1,\n \"two\": \"Two\"\n}", r#"{"one":1,"two":"Two"}"#),
        (r#"{"b":"2", "a":"1"}"#, r#"{"a":"1","b":"2"}"#),
        (
            r#"{"auth":{"success":true,"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe",
                "three_pids":[{"medium":"email","address":"john.doe@example.org"},{"medium":"msisdn","address":"123456789"}]}}}"#,
            r#"{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}"#,
        ),
        (r#"{"a":"日本語"}"#, r#"{"a":"日本語"}"#),
        (r#"{"本":2,"日":1}"#, r#"{"日":1,"本":2}"#),
        (r#"{"a":"\u65E5"}"#, r#"{"a":"日"}"#),
        (r#"{"a":null}"#, r#"{"a":null}"#),
        (r#"{"a":-0}"#, r#"{"a":0}"#),
    ];
    for (text, expected) in cases {
        assert_eq!(canonical(text, Numbers::Strict).as_deref(), Ok(expected));
        assert_eq!(canonical(text, Numbers::Lenient).as_deref(), Ok(expected));
    }
}

#[test]
fn keys_are_in_order_of_code_points_not_of_utf16_or_escapes() {
    let text = r#"{"\ud800\udc00":1,"\uffff":2,"a":3,"\"":4,"\n":5,"~":6,"\u007f":7,"":8,"\\":9,"]":10}"#;
    let expected =
        "{\"\":8,\"\\n\":5,\"\\\"\":4,\"\\\\\":9,\"]\":10,\"a\":3,\"~\":6,\"\u{7f}\":7,\"\u{ffff}\":2,\"\u{10000}\":1}";
    assert_eq!(canonical(text, Numbers::Strict).as_deref(), Ok(expected));
}

#[test]
fn malformed_texts_are_refused() {
    type Case<'a> = (&'a [u8], fn(&JsonError) -> bool);
    let cases: [Case<'_>; 24] = [
        (b"", |e| matches!(e, JsonError::Syntax(_))),
        (b"{", |e| matches!(e, JsonError::Syntax(_))),
        (b"[1,]", |e| matches!(e, JsonError::Syntax(_))),
        (b"[1 2]", |e| matches!(e, JsonError::Syntax(_))),
        (br#"{"a":1,}"#, |e| matches!(e, JsonError::Syntax(_))),
        (br#"{"a"}"#, |e| matches!(e, JsonError::Syntax(_))),
        (br"{a:1}", |e| matches!(e, JsonError::Syntax(_))),
        (br#"{"a":1]"#, |e| matches!(e, JsonError::Syntax(_))),
        (b"{} {}", |e| matches!(e, JsonError::Syntax(_))),
        (b"\"a\nb\"", |e| matches!(e, JsonError::Syntax(_))),
        (b"\"a", |e| matches!(e, JsonError::Syntax(_))),
        (br#""\x""#, |e| matches!(e, JsonError::Syntax(_))),
        (br#""\u12g4""#, |e| matches!(e, JsonError::Syntax(_))),
        (br#"{"a":NaN}"#, |e| matches!(e, JsonError::Syntax(_))),
        (br#"{"a":Infinity}"#, |e| matches!(e, JsonError::Syntax(_))),
        (br#"{"a":-Infinity}"#, |e| matches!(e, JsonError::Number(_))),
        (b"\xef\xbb\xbf{}", |e| matches!(e, JsonError::Syntax(_))),
        (b"\"\xff\"", |e| matches!(e, JsonError::Utf8)),
        (b"\"\xed\xa0\x80\"", |e| matches!(e, JsonError::Utf8)),
        (br#""\ud800""#, |e| matches!(e, JsonError::Surrogate(_))),
        (br#""\udc00\ud800""#, |e| matches!(e, JsonError::Surrogate(_))),
        (br#""\ud800\u0041""#, |e| matches!(e, JsonError::Surrogate(_))),
        (br#"{"a":1,"a":1}"#, |e| matches!(e, JsonError::DuplicateKey)),
        (br#"{"b":1,"a":2,"\u0062":3}"#, |e| matches!(e, JsonError::DuplicateKey)),
    ];
    for numbers in [Numbers::Lenient, Numbers::Strict] {
        for (text, is_expected) in &cases {
            let error = canonicalize(text, numbers, &mut Vec::new()).unwrap_err();
            assert!(is_expected(&error), "{}: {error}", String::from_utf8_lossy(text));
        }
    }
}

#[test]
fn depth_costs_no_stack_and_is_bounded() {
    const STACK_BYTES: usize = 256 * 1024;
    let on_small_stack = || {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            for depth in [64, 128, MAX_DEPTH] {
                let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                assert_eq!(canonical(&text, Numbers::Strict).as_deref(), Ok(&*text));
            }
            for depth in [MAX_DEPTH + 1, 10_000, 1_000_000] {
                let text = open.repeat(depth);
                assert_eq!(canonical(&text, Numbers::Strict), Err(JsonError::TooDeep));
            }
        }
    };
    let thread = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(on_small_stack)
        .unwrap();
    thread.join().unwrap();
}

/// Objects whose keys come in the wrong order are moved once per level: the worst that fits into an event.
#[test]
fn the_most_disorderly_event_is_put_in_order() {
    let filling = "x".repeat(50_000);
    let text = format!(
        "{}\"{filling}\"{}",
        r#"{"b":"#.repeat(MAX_DEPTH),
        r#","a":1}"#.repeat(MAX_DEPTH)
    );
    let expected = format!(
        "{}\"{filling}\"{}",
        r#"{"a":1,"b":"#.repeat(MAX_DEPTH),
        "}".repeat(MAX_DEPTH)
    );
    assert_eq!(canonical(&text, Numbers::Strict).as_deref(), Ok(&*expected));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-number::MAX_INTEGER..=number::MAX_INTEGER).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Writes a value as awkwardly as JSON allows: white space, members in reverse, every character escaped.
fn write_awkwardly(value: &Value, out: &mut String) {
    let awkward_string = |text: &str, out: &mut String| {
        out.push('"');
        for unit in text.encode_utf16() {
            write!(out, "\\u{unit:04X}").unwrap();
        }
        out.push('"');
    };
    match value {
        Value::Object(object) => {
            out.push_str("{ ");
            for (index, (key, value)) in object.iter().rev().enumerate() {
                out.push_str(if index > 0 { "\t,\n" } else { "" });
                awkward_string(key, out);
                out.push_str(" :\r");
                write_awkwardly(value, out);
            }
            out.push_str(" }");
        }
        Value::Array(array) => {
            out.push('[');
            for (index, value) in array.iter().enumerate() {
                out.push_str(if index > 0 { " ," } else { "" });
                write_awkwardly(value, out);
            }
            out.push_str(" ]");
        }
        Value::String(text) => awkward_string(text, out),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

proptest! {
    #[test]
    fn any_value_has_the_canonical_form_ruma_gives_it(value in value()) {
        let expected = CanonicalJsonValue::try_from(value.clone()).unwrap().to_string();
        let mut awkward = String::new();
        write_awkwardly(&value, &mut awkward);
        prop_assert_eq!(canonical(&value.to_string(), Numbers::Strict), Ok(expected.clone()));
        prop_assert_eq!(canonical(&awkward, Numbers::Strict), Ok(expected.clone()));
        prop_assert_eq!(canonical(&expected, Numbers::Lenient), Ok(expected));
    }

    #[test]
    fn what_serde_refuses_is_refused_and_no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let ours = canonicalize(&bytes, Numbers::Lenient, &mut Vec::new());
        if ours.is_ok() {
            prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
        }
    }

    #[test]
    fn texts_made_of_json_tokens_do_not_panic(tokens in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "d800", "dc00", "1", "-", "0", ".", "e", "true", "nul", " ", "é", "\"a\"",
    ]), 0..40)) {
        let text = tokens.concat();
        if let Ok(out) = canonical(&text, Numbers::Lenient) {
            let (ours, theirs): (Value, Value) = (serde_json::from_str(&out).unwrap(), serde_json::from_str(&text).unwrap());
            prop_assert_eq!(json!([ours]).to_string(), json!([theirs]).to_string());
        }
    }
}

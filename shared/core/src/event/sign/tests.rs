use ruma::server_name;

use super::*;
use crate::event::{hash, redact};
use crate::room_version::RoomVersion;

const SEED: &str = "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1";

fn key() -> SigningKey {
    SigningKey::parse(&format!("ed25519 1 {SEED}")).unwrap()
}

#[test]
fn the_specifications_signed_objects() {
    let cases = [
        (
            "{}",
            r#"{"signatures":{"domain":{"ed25519:1":"K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"}}}"#,
        ),
        (
            r#"{"one":1,"two":"Two"}"#,
            r#"{"one":1,"signatures":{"domain":{"ed25519:1":"KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw"}},"two":"Two"}"#,
        ),
    ];
    for (object, signed) in cases {
        assert_eq!(
            sign_json(object.as_bytes(), server_name!("domain"), &key()).as_deref(),
            Ok(signed)
        );
    }
}

#[test]
fn the_specifications_signed_events() {
    let cases = [
        (
            r#"{"room_id":"!x:domain","sender":"@a:domain","origin":"domain","origin_server_ts":1000000,"signatures":{},"hashes":{},"type":"X","content":{},"prev_events":[],"auth_events":[],"depth":3,"unsigned":{"age_ts":1000000}}"#,
            "X",
            "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
            "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
        ),
        (
            r#"{"content":{"body":"Here is the message content"},"event_id":"$0:domain","origin":"domain","origin_server_ts":1000000,"type":"m.room.message","room_id":"!r:domain","sender":"@u:domain","signatures":{},"unsigned":{"age_ts":1000000}}"#,
            "m.room.message",
            "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
            "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
        ),
    ];
    for (event, kind, content_hash, signature) in cases {
        let event = canonical_object(event.as_bytes(), Numbers::Lenient).unwrap();
        let hash = encode_base64(&hash::content_hash(&event));
        assert_eq!(hash, content_hash);
        let event = with_member(&event, "hashes", &format!(r#"{{"sha256":"{hash}"}}"#));
        let signed = redact::signed_form(&event, kind, RoomVersion::V1.rules().redaction);
        assert_eq!(encode_base64(&key().sign(&signed)), signature);
    }
}

#[test]
fn key_lines_round_trip_and_bad_ones_are_refused() {
    let key = SigningKey::from_seed("a_abcd", &[3; 32]).unwrap();
    assert_eq!(key.key_id(), "ed25519:a_abcd");
    let line = key.to_line();
    let read = SigningKey::parse(&format!("  {line}\n")).unwrap();
    assert_eq!((read.to_line(), read.verify_key()), (line, key.verify_key()));
    assert_eq!(
        VerifyKey::from_base64(&key.verify_key().to_base64()),
        Ok(key.verify_key())
    );
    let secret = key.to_line().rsplit(' ').next().unwrap().to_owned();
    assert!(!format!("{key:?}").contains(&secret));

    for (line, error) in [
        (String::new(), KeyError::Format),
        (format!("ed25519 {SEED}"), KeyError::Format),
        (format!("curve25519 1 {SEED}"), KeyError::Format),
        (format!("ed25519 1 {SEED} x"), KeyError::Format),
        (format!("ed25519 a-b {SEED}"), KeyError::Version),
        (format!("ed25519 {} {SEED}", "a".repeat(65)), KeyError::Version),
        ("ed25519 1 AAAA".to_owned(), KeyError::Bytes),
        ("ed25519 1 !!!".to_owned(), KeyError::Bytes),
    ] {
        assert_eq!(SigningKey::parse(&line).unwrap_err(), error, "{line}");
    }
}

#[test]
fn signatures_are_added_and_verified() {
    let (one, two) = (server_name!("one.example"), server_name!("two.example"));
    let other = SigningKey::from_seed("2", &[9; 32]).unwrap();
    let signed = sign_json(br#"{"z":1,"unsigned":{"age":1}}"#, two, &key()).unwrap();
    let signed = sign_json(signed.as_bytes(), one, &key()).unwrap();
    let signed = sign_json(signed.as_bytes(), one, &other).unwrap();
    let keys = |key_id: &str| match key_id {
        "ed25519:1" => Some(key().verify_key()),
        "ed25519:2" => Some(other.verify_key()),
        _ => None,
    };
    let verify =
        |object: &str, server, keys: &dyn Fn(&str) -> Option<VerifyKey>| verify_json(object.as_bytes(), server, keys);
    assert_eq!(verify(&signed, one, &keys), Ok(()));
    assert_eq!(verify(&signed, two, &keys), Ok(()));
    assert_eq!(verify(&signed.replace(r#""age":1"#, r#""age":2"#), one, &keys), Ok(()));

    let three = server_name!("three.example");
    assert_eq!(
        verify(&signed, three, &keys),
        Err(SignatureError::Missing(three.to_string()))
    );
    assert_eq!(
        verify(&signed, one, &|_| None),
        Err(SignatureError::NoKnownKey(one.to_string()))
    );
    let changed = signed.replace(r#""z":1"#, r#""z":2"#);
    assert_eq!(
        verify(&changed, one, &keys),
        Err(SignatureError::Mismatch(one.to_string()))
    );
    let swapped = |key_id: &str| keys(if key_id == "ed25519:1" { "ed25519:2" } else { key_id });
    assert_eq!(
        verify(&signed, one, &swapped),
        Err(SignatureError::Mismatch(one.to_string()))
    );
}

use ruma::{owned_event_id, room_id, server_name, user_id};

use super::*;
use crate::room_version::RoomVersion;

fn key() -> SigningKey {
    SigningKey::from_seed("1", &[7; 32]).unwrap()
}

fn public_key() -> PublicKey {
    PublicKey {
        key: key().verify_key(),
        valid_until_ts: u64::MAX,
        expired_ts: None,
    }
}

fn message(rules: &RoomVersionRules, content: &str) -> Result<EventBody, EventError> {
    let content = raw(content.to_owned());
    NewEvent {
        room_id: Some(room_id!("!r:example.org")),
        sender: user_id!("@alice:example.org"),
        kind: "m.room.message",
        state_key: None,
        content: &content,
        prev_events: &[owned_event_id!("$prev:example.org")],
        auth_events: &[owned_event_id!("$auth:example.org")],
        depth: 5,
        origin_server_ts: 1_700_000_000_000,
        redacts: None,
        legacy: Some(Legacy {
            localpart: "one",
            hashes: &|_| Some([1; 32]),
        }),
    }
    .seal(rules, &key(), server_name!("example.org"))
}

#[test]
fn what_is_sealed_parses_verifies_and_loads_as_the_same_event() {
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let sealed = message(rules, r#"{"msgtype":"m.text", "body":"hé\u0000\n\"" }"#).unwrap();
        let parsed = EventBody::parse(sealed.json().as_bytes(), rules).unwrap();
        assert!(!parsed.was_redacted(), "{version}");
        assert_eq!(
            parsed.required_servers().collect::<Vec<_>>(),
            [server_name!("example.org")]
        );
        let verified = parsed
            .verify(&|_, key_id| (key_id == "ed25519:1").then(public_key))
            .unwrap();
        assert_eq!(verified, sealed, "{version}");
        let loaded = EventBody::load(
            sealed.event_id().to_owned(),
            rules,
            sealed.json().as_bytes().to_vec(),
        );
        assert_eq!(loaded.unwrap(), sealed, "{version}");
    }
}

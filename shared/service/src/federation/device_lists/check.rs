//! What other servers say of their users' keys, before any of it is kept or shown. What a key is worth, clients find out by its signatures; here it is only
//! made sure that it is said of the right user and device, and that it spoils no answer.

use plexus_proto::{self as proto};
use ruma::UserId;
use serde_json::{Value, value::RawValue};

use crate::e2e::{
    limits::{VALUE_BYTES_MAX, check_name},
    signed::message,
};

/// Most characters of a device's name that are kept.
const DISPLAY_NAME_CHARS_MAX: usize = 100;

/// A name that can be kept.
pub(super) fn name(name: &str) -> Option<()> {
    check_name("a name", name).ok()
}

/// A device as it is kept.
pub(super) fn device(
    user_id: &UserId,
    device_id: String,
    display_name: Option<String>,
    keys: &RawValue,
) -> Option<proto::RemoteDevice> {
    name(&device_id)?;
    if !is_own_key(keys, user_id, Some(&device_id)) {
        return None;
    }
    let display_name = display_name.map(|name| name.replace('\0', "").chars().take(DISPLAY_NAME_CHARS_MAX).collect());
    Some(proto::RemoteDevice {
        device_id,
        display_name,
        keys: keys.get().to_owned().into(),
    })
}

/// A cross-signing key as it is kept.
pub(super) fn signing_key(user_id: &UserId, json: &RawValue) -> Option<proto::CrossSigningKey> {
    if !is_own_key(json, user_id, None) {
        return None;
    }
    let key: Value = serde_json::from_str(json.get()).ok()?;
    let mut keys = key["keys"].as_object()?.iter();
    let (Some((key_id, public)), None) = (keys.next(), keys.next()) else {
        return None;
    };
    let public = public.as_str()?;
    name(public)?;
    (key_id.strip_prefix("ed25519:") == Some(public)).then(|| proto::CrossSigningKey {
        key_id: public.to_owned(),
        json: json.get().to_owned().into(),
    })
}

/// Whether this is an object that can be signed, and does not say that it is another user's or another device's.
pub(crate) fn is_own_key(json: &RawValue, user_id: &UserId, device_id: Option<&str>) -> bool {
    let text = json.get();
    if text.len() > VALUE_BYTES_MAX || message(text.as_bytes()).is_none() {
        return false;
    }
    // It has no more levels than clients can read.
    let Ok(Value::Object(key)) = serde_json::from_str(text) else {
        return false;
    };
    let says = |member: &str, wanted: &str| key.get(member).is_none_or(|value| value == wanted);
    let signatures_fit = key.get("signatures").is_none_or(|signatures| {
        let by_user = signatures
            .as_object()
            .map(|by_user| by_user.values().all(Value::is_object));
        by_user == Some(true)
    });
    says("user_id", user_id.as_str()) && device_id.is_none_or(|id| says("device_id", id)) && signatures_fit
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::{json, value::to_raw_value};

    use super::*;

    fn raw(value: &Value) -> Box<RawValue> {
        to_raw_value(value).expect("JSON")
    }

    #[test]
    fn keys_are_of_whom_they_should_be() {
        let user_id = user_id!("@a:there");
        for (keys, fits) in [
            (json!({}), true),
            (
                json!({"user_id": "@a:there", "device_id": "ONE", "signatures": {"@a:there": {}}}),
                true,
            ),
            (json!({"user_id": "@b:there", "device_id": "ONE"}), false),
            (json!({"user_id": "@a:there", "device_id": "TWO"}), false),
            (json!({"user_id": 1}), false),
            (json!({"signatures": {"@a:there": 1}}), false),
            (json!({"signatures": []}), false),
            (json!({"level": 1.5}), false),
            (json!(["ONE"]), false),
            (json!({"long": "x".repeat(VALUE_BYTES_MAX)}), false),
        ] {
            let device = device(user_id, "ONE".to_owned(), Some("a\0b".to_owned()), &raw(&keys));
            assert_eq!(device.is_some(), fits, "{:.80}", keys.to_string());
            assert!(device.is_none_or(|device| device.display_name.as_deref() == Some("ab")));
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        let deep = RawValue::from_string(deep).expect("JSON");
        assert!(!is_own_key(&deep, user_id, None));
        assert!(device(user_id, "x".repeat(300), None, &raw(&json!({}))).is_none());
    }

    #[test]
    fn a_cross_signing_key_is_named_by_itself() {
        let user_id = user_id!("@a:there");
        let key = |keys: Value| signing_key(user_id, &raw(&json!({"user_id": user_id, "keys": keys})));
        assert_eq!(
            key(json!({"ed25519:abc": "abc"})).map(|key| key.key_id).as_deref(),
            Some("abc")
        );
        for keys in [
            json!({}),
            json!({"ed25519:abc": "abd"}),
            json!({"abc": "abc"}),
            json!({"ed25519:abc": "abc", "ed25519:x": "x"}),
            json!({"ed25519:abc": 1}),
        ] {
            assert!(key(keys.clone()).is_none(), "{keys}");
        }
    }
}

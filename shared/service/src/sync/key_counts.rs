//! How many one-time keys a device has left.

use plexus_core::event::json::write_string;
use plexus_storage::key_counts::KeyCounts;

use super::{
    event::{push_comma, write_number},
    scope::Scope,
};
use crate::ServiceError;

/// Told also when there are none: a client that is told nothing of it takes that for "unchanged".
const ALWAYS_COUNTED: &str = "signed_curve25519";

/// Appends `device_one_time_keys_count` and `device_unused_fallback_key_types`; whether they have changed.
pub(super) async fn write(scope: &Scope<'_>, out: &mut Vec<u8>) -> Result<bool, ServiceError> {
    let (user, device_id) = (scope.requester.user, &scope.requester.device_id);
    let counts = scope.ctx.store.key_counts(user, device_id).await?;
    write_counts(&counts, out);
    let window = &scope.window;
    Ok(window.since.is_some()
        && scope
            .ctx
            .store
            .key_counts_changed(user, device_id, window.after(), window.up_to))
}

fn write_counts(counts: &KeyCounts, out: &mut Vec<u8>) {
    push_comma(out);
    out.extend_from_slice(b"\"device_one_time_keys_count\":{");
    let none = (!counts.one_time.contains_key(ALWAYS_COUNTED)).then_some((ALWAYS_COUNTED, 0));
    let some = counts
        .one_time
        .iter()
        .map(|(algorithm, count)| (algorithm.as_str(), *count));
    for (algorithm, count) in some.chain(none) {
        push_comma(out);
        write_string(out, algorithm);
        out.push(b':');
        write_number(out, count);
    }
    out.push(b'}');
    // The second is the name from before the specification had it, which clients still read.
    for name in [
        "device_unused_fallback_key_types",
        "org.matrix.msc2732.device_unused_fallback_key_types",
    ] {
        push_comma(out);
        write_string(out, name);
        out.extend_from_slice(b":[");
        for algorithm in &counts.unused_fallback {
            push_comma(out);
            write_string(out, algorithm);
        }
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_keys_are_counted_also_when_there_are_none() {
        let mut out = b"{".to_vec();
        write_counts(&KeyCounts::default(), &mut out);
        let none = r#"{"device_one_time_keys_count":{"signed_curve25519":0},"device_unused_fallback_key_types":[],"org.matrix.msc2732.device_unused_fallback_key_types":[]"#;
        assert_eq!(String::from_utf8(out).expect("made of text"), none);
        let mut counts = KeyCounts::default();
        counts.one_time.insert("a".to_owned(), 1);
        counts.one_time.insert("signed_curve25519".to_owned(), 50);
        counts.unused_fallback.push("signed_curve25519".to_owned());
        let mut out = b"{".to_vec();
        write_counts(&counts, &mut out);
        let some = r#"{"device_one_time_keys_count":{"a":1,"signed_curve25519":50},"device_unused_fallback_key_types":["signed_curve25519"],"#;
        assert!(String::from_utf8(out).expect("made of text").starts_with(some));
    }
}

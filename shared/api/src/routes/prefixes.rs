//! Under which other paths an endpoint answers: those that clients of older versions of the specification know.
//!
//! The table has each path once. What was stable in one version of it is served under `unstable` and, since the prefix was `r0` until version 1.1 of the
//! specification, under `r0`; what was there before the first release is served under `api/v1` too.

use std::borrow::Cow;

const CLIENT: &str = "/_matrix/client/";
const MEDIA: &str = "/_matrix/media/";

/// Stable prefixes of the client API; the second says whether the path was, or would have been, in `r0`.
const STABLE: [(&str, bool); 3] = [("v3/", true), ("r0/", true), ("v1/", false)];

/// What Synapse 1.0.0 served under `api/v1`: `*` is any one segment, a last `**` any number.
const API_V1: [&str; 28] = [
    "admin/**",
    "createRoom",
    "createRoom/*",
    "directory/**",
    "events",
    "events/*",
    "initialSync",
    "join/**",
    "joined_rooms",
    "login/**",
    "logout/**",
    "presence/*/status",
    "profile/**",
    "publicRooms",
    "pushers/**",
    "pushrules/**",
    "rooms/*/context/*",
    "rooms/*/event/*",
    "rooms/*/initialSync",
    "rooms/*/joined_members",
    "rooms/*/members",
    "rooms/*/messages",
    "rooms/*/redact/**",
    "rooms/*/send/**",
    "rooms/*/state/**",
    "rooms/*/typing/*",
    "search",
    "voip/turnServer",
];

/// The verbs of `rooms/*` under `api/v1`, with a transaction id behind them or without.
const API_V1_VERBS: [&str; 7] = ["ban", "forget", "invite", "join", "kick", "leave", "unban"];

/// What the media repository had under `v1` before `v3`, with the same rest.
const MEDIA_V1: [&str; 5] = ["config", "download/**", "preview_url", "thumbnail/**", "upload"];

/// The other paths of `path`, none of them `path` itself.
pub(super) fn other_paths(path: &str) -> Vec<Cow<'static, str>> {
    let mut others = Vec::new();
    if let Some(rest) = path.strip_prefix(CLIENT) {
        for (prefix, was_in_r0) in STABLE {
            let Some(rest) = rest.strip_prefix(prefix) else {
                continue;
            };
            others.push(format!("{CLIENT}unstable/{rest}"));
            if was_in_r0 {
                others.push(format!("{CLIENT}r0/{rest}"));
            }
            if was_in_r0 && was_in_api_v1(rest) {
                others.push(format!("{CLIENT}api/v1/{rest}"));
            }
        }
    }
    if let Some(rest) = path.strip_prefix(MEDIA).and_then(|rest| rest.strip_prefix("v3/"))
        && MEDIA_V1.iter().any(|pattern| fits(pattern, rest))
    {
        others.extend([format!("{MEDIA}r0/{rest}"), format!("{MEDIA}v1/{rest}")]);
    }
    others.retain(|other| other != path);
    others.into_iter().map(Cow::Owned).collect()
}

fn was_in_api_v1(rest: &str) -> bool {
    let verb = match rest.split('/').collect::<Vec<_>>()[..] {
        ["rooms", _, verb] | ["rooms", _, verb, _] => API_V1_VERBS.contains(&verb),
        _ => false,
    };
    verb || API_V1.iter().any(|pattern| fits(pattern, rest))
}

fn fits(pattern: &str, rest: &str) -> bool {
    let mut segments = rest.split('/');
    for part in pattern.split('/') {
        match (part, segments.next()) {
            ("**", _) => return true,
            ("*", Some(_)) => {}
            (part, Some(segment)) if part == segment => {}
            (_, _) => return false,
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use ::http::Method;

    use crate::routes::{ROUTES, Route};

    fn paths(name: &str) -> Vec<String> {
        let route: &Route = ROUTES.iter().find(|route| route.name == name).expect("there");
        let prefix = |path: &str| path.strip_prefix("/_matrix/client/").map(str::to_owned);
        let mut paths: Vec<String> = route.all_paths().iter().filter_map(|path| prefix(path)).collect();
        paths.sort_unstable();
        paths
    }

    #[test]
    fn seed_5226_5328_endpoints_answer_under_every_prefix_they_had() {
        let families = |rest: &str| ["api/v1", "r0", "unstable", "v3"].map(|prefix| format!("{prefix}/{rest}"));
        assert_eq!(paths("create_room"), families("createRoom"));
        assert_eq!(paths("create_room_txn"), families("createRoom/{txn_id}"));
        assert_eq!(paths("login"), families("login"));
        assert_eq!(paths("joined_rooms"), families("joined_rooms"));
        assert_eq!(paths("ban_txn"), families("rooms/{room_id}/ban/{txn_id}"));
        assert_eq!(paths("send"), families("rooms/{room_id}/send/{event_type}/{txn_id}"));
        assert_eq!(paths("send_once"), families("rooms/{room_id}/send/{event_type}"));
        assert_eq!(paths("members"), families("rooms/{room_id}/members"));
        assert_eq!(paths("sync"), ["r0/sync", "unstable/sync", "v3/sync"]);
        assert_eq!(paths("versions"), ["versions"]);
    }

    #[test]
    fn every_stable_path_is_also_unstable_and_nothing_else_is_made_up() {
        for route in ROUTES {
            let all = route.all_paths();
            for path in &all {
                for stable in ["v3/", "r0/", "v1/"] {
                    if let Some(rest) = path
                        .strip_prefix("/_matrix/client/")
                        .and_then(|rest| rest.strip_prefix(stable))
                    {
                        let unstable = format!("/_matrix/client/unstable/{rest}");
                        assert!(all.iter().any(|path| *path == unstable), "{unstable} of {}", route.name);
                    }
                }
            }
        }
        assert!(super::other_paths("/_synapse/admin/v1/register").is_empty());
        assert!(super::other_paths("/_matrix/client/versions").is_empty());
        assert_eq!(
            super::other_paths("/_matrix/client/v1/x/y"),
            ["/_matrix/client/unstable/x/y"]
        );
        assert_eq!(
            super::other_paths("/_matrix/media/v3/config"),
            ["/_matrix/media/r0/config", "/_matrix/media/v1/config"]
        );
    }

    #[test]
    fn a_transaction_goes_with_put_only() {
        for route in ROUTES.iter().filter(|route| route.transaction) {
            assert_eq!(route.method(), Method::PUT, "{}", route.name);
            assert!(
                route.all_paths().iter().all(|path| path.ends_with("/{txn_id}")),
                "{}",
                route.name
            );
        }
    }
}

//! What `/.well-known/matrix/server` answers, and how long that counts.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use ruma::OwnedServerName;
use serde::Deserialize;

use crate::outbound::Answer;

/// The path of it.
pub(crate) const PATH: &str = "/.well-known/matrix/server";
/// Most bytes of the answer that are read.
pub(crate) const BYTES_MAX: usize = 50 * 1024;
/// How long an answer counts that does not say, as the specification recommends.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The longest, as it recommends.
pub(super) const LIFETIME_MAX: Duration = Duration::from_secs(48 * 3600);
/// The shortest: a site that forbids caching is not asked with every request.
const LIFETIME_MIN: Duration = Duration::from_secs(5 * 60);
/// How long the first failure counts; each further one doubles it.
const FAILURE_LIFETIME_MIN: Duration = Duration::from_secs(60);
/// The longest a failure counts, as the specification recommends.
const FAILURE_LIFETIME_MAX: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
struct WellKnown {
    #[serde(rename = "m.server")]
    server: String,
}

/// The server that another one names in its stead; nothing if the answer is not one.
pub(super) fn delegated(answer: &Answer) -> Option<OwnedServerName> {
    if answer.status != StatusCode::OK {
        return None;
    }
    let known: WellKnown = serde_json::from_slice(&answer.body).ok()?;
    OwnedServerName::try_from(known.server).ok()
}

/// How long an answer counts, by its own headers and within our bounds.
pub(super) fn lifetime(headers: &HeaderMap) -> Duration {
    let mut lifetime = None;
    let directives = headers
        .get_all(header::CACHE_CONTROL)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return LIFETIME_MIN,
            "max-age" => lifetime = value.trim().trim_matches('"').parse().ok().map(Duration::from_secs),
            _ => {}
        }
    }
    let expires = || {
        let at = httpdate::parse_http_date(headers.get(header::EXPIRES)?.to_str().ok()?).ok()?;
        // By the other's clock: only what it says of the difference counts.
        let from = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?).ok()?;
        Some(at.duration_since(from).unwrap_or_default())
    };
    let lifetime = lifetime.or_else(expires).unwrap_or(DEFAULT_LIFETIME);
    lifetime.clamp(LIFETIME_MIN, LIFETIME_MAX)
}

/// How long a failure counts, the first or a later one.
pub(super) fn failure_lifetime(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FAILURE_LIFETIME_MAX.min(FAILURE_LIFETIME_MIN * (1 << doublings))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    #[test]
    fn only_a_whole_answer_delegates() {
        let of = |status, body: &str| delegated(&answer(status, body)).map(|server| server.to_string());
        assert_eq!(
            of(200, r#"{"m.server": "a.example:443"}"#).as_deref(),
            Some("a.example:443")
        );
        assert_eq!(of(200, r#"{"m.server": "[::1]", "more": 1}"#).as_deref(), Some("[::1]"));
        for (status, body) in [
            (404, r#"{"m.server": "a.example"}"#),
            (302, r#"{"m.server": "a.example"}"#),
            (200, "<html>"),
            (200, "{}"),
            (200, r#"{"m.server": 1}"#),
            (200, r#"{"m.server": ""}"#),
            (200, r#"{"m.server": "https://a.example"}"#),
            (200, r#"{"m.server": "a.example/path"}"#),
        ] {
            assert_eq!(of(status, body), None, "{status} {body}");
        }
    }

    #[test]
    fn an_answer_counts_as_long_as_it_says_within_bounds() {
        let of = |lines: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().expect("a value"));
            }
            lifetime(&headers).as_secs()
        };
        let (hour, day) = (3600, 86_400);
        assert_eq!(of(&[]), day);
        assert_eq!(of(&[("cache-control", "public, Max-Age=7200")]), 2 * hour);
        assert_eq!(of(&[("cache-control", "max-age=\"7200\"")]), 2 * hour);
        assert_eq!(of(&[("cache-control", "max-age=1")]), 300);
        assert_eq!(of(&[("cache-control", "max-age=99999999999")]), 2 * day);
        assert_eq!(of(&[("cache-control", "max-age=x")]), day);
        assert_eq!(
            of(&[("cache-control", "max-age=7200"), ("cache-control", "no-store")]),
            300
        );
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(of(&[date, ("expires", "Sun, 06 Nov 1994 09:49:37 GMT")]), hour);
        assert_eq!(of(&[date, ("expires", "Sun, 06 Nov 1994 07:49:37 GMT")]), 300);
        assert_eq!(of(&[date, ("expires", "0")]), day);
        let both = [
            date,
            ("expires", "Sun, 06 Nov 1994 09:49:37 GMT"),
            ("cache-control", "max-age=7200"),
        ];
        assert_eq!(of(&both), 2 * hour);
    }

    #[test]
    fn failures_count_longer_each_time_up_to_an_hour() {
        let minutes: Vec<u64> = (1..=9)
            .map(|failures| failure_lifetime(failures).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(failure_lifetime(u32::MAX).as_secs(), 3600);
    }
}

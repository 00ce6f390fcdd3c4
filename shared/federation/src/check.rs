//! What another server would see of a server: for `plexus federation check`.

use std::time::Duration;

use http::{Method, StatusCode};
use plexus_core::event::VerifyKey;
use ruma::ServerName;
use serde_json::Value;

use crate::{
    discovery::Route,
    keys::document::{self, KeyDocument},
    outbound::{Answer, Limits, OutboundError, ToServer},
    transport::Transport,
};

/// How long each question may take.
const LIMITS: Limits = Limits {
    timeout: Duration::from_secs(15),
    answer_bytes_max: document::BYTES_MAX,
};
/// Others believe a key for a week, however long it says.
const WEEK_MS: i64 = 7 * 24 * 3600 * 1000;
/// Who publishes keys for less than this is asked again and again.
const VALIDITY_MIN_MS: i64 = 3600 * 1000;

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Good(String),
    /// Worth knowing.
    Note(String),
    /// Wrong: other servers cannot work with it.
    Wrong(String),
}

/// The key that should be found, if the server is one's own.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Its id.
    pub key_id: &'a str,
    /// The key.
    pub key: VerifyKey,
}

/// Finds a server, connects to it, and reads its keys, as another server does.
pub async fn check(
    transport: &Transport,
    server: &ServerName,
    expected: Option<Expected<'_>>,
    now_ms: i64,
) -> Vec<Finding> {
    let route = match transport.discovery().route(server).await {
        Ok(route) => route,
        Err(error) => return vec![Finding::Wrong(error.to_string())],
    };
    let mut findings: Vec<Finding> = route.steps.iter().cloned().map(Finding::Note).collect();
    let mut reached = None;
    for target in &route.targets {
        let at = Route {
            targets: vec![target.clone()],
            ..route.clone()
        };
        let place = format!("{}:{}", target.host, target.port);
        match ask(transport, &at, "/_matrix/federation/v1/version").await {
            Ok(answer) => {
                findings.push(Finding::Good(format!(
                    "{place} has a certificate for {}",
                    at.certificate
                )));
                findings.push(version(&place, &answer));
                reached = reached.or(Some(at));
            }
            Err(error) => findings.push(Finding::Wrong(format!("{place}: {error}"))),
        }
    }
    if let Some(at) = reached {
        match ask(transport, &at, "/_matrix/key/v2/server").await {
            Ok(answer) => findings.extend(keys(server, &answer, expected, now_ms)),
            Err(error) => findings.push(Finding::Wrong(format!("its keys: {error}"))),
        }
    }
    findings
}

async fn ask(transport: &Transport, route: &Route, target: &str) -> Result<Answer, OutboundError> {
    let request = ToServer {
        method: Method::GET,
        target,
        authorization: None,
        content: None,
    };
    transport.exchange_at(route, &request, LIMITS).await
}

fn version(place: &str, answer: &Answer) -> Finding {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let text = |name: &str| body.as_ref()?["server"][name].as_str();
    match (answer.status, text("name"), text("version")) {
        (StatusCode::OK, Some(name), Some(version)) => Finding::Good(format!("{place} is {name:?} {version:?}")),
        (StatusCode::OK, _, _) => Finding::Note(format!("{place} does not say which program it is")),
        (status, _, _) => Finding::Wrong(format!(
            "{place} answers {status} to /_matrix/federation/v1/version: it is no homeserver, or its proxy does not pass /_matrix on"
        )),
    }
}

fn keys(server: &ServerName, answer: &Answer, expected: Option<Expected<'_>>, now_ms: i64) -> Vec<Finding> {
    if answer.status != StatusCode::OK {
        let sentence = format!("/_matrix/key/v2/server answers {}", answer.status);
        return vec![Finding::Wrong(sentence)];
    }
    let document = match KeyDocument::parse(&answer.body, server) {
        Ok(document) => document,
        Err(error) => return vec![Finding::Wrong(format!("its keys are not believed: {error}"))],
    };
    let ids: Vec<&str> = document.keys.keys().map(String::as_str).collect();
    let mut findings = vec![Finding::Good(format!(
        "it signs with {}, and has signed that",
        ids.join(", ")
    ))];
    let left_ms = document.valid_until_ms.saturating_sub(now_ms);
    findings.extend(match left_ms {
        ..=0 => Some(Finding::Wrong("its keys have expired".to_owned())),
        1..VALIDITY_MIN_MS => Some(Finding::Note("its keys expire within the hour".to_owned())),
        VALIDITY_MIN_MS..=WEEK_MS => None,
        _ => Some(Finding::Note(
            "its keys say to count for longer than a week, which nobody believes".to_owned(),
        )),
    });
    if let Some(expected) = expected
        && document.keys.get(expected.key_id) != Some(&expected.key)
    {
        let sentence = format!(
            "its keys are not {}, which this server signs with: another server answers",
            expected.key_id
        );
        findings.push(Finding::Wrong(sentence));
    }
    findings
}

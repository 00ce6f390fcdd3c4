//! Requests, and what answers tell.

use std::time::Duration;

use plexus_service::sync::SyncRequest;
use serde_json::Value as Json;

/// A request for what is new since an answer.
pub(crate) fn since(before: &Json) -> SyncRequest {
    let token = before["next_batch"].as_str().expect("every answer has a token");
    SyncRequest {
        since: Some(token.to_owned()),
        ..SyncRequest::default()
    }
}

pub(crate) fn filtered(filter: &Json, request: SyncRequest) -> SyncRequest {
    SyncRequest {
        filter: Some(filter.to_string()),
        ..request
    }
}

pub(crate) fn waiting(request: SyncRequest) -> SyncRequest {
    SyncRequest {
        timeout: Duration::from_secs(60),
        ..request
    }
}

/// The bodies of the messages of a timeline, in order; of other events the type.
pub(crate) fn told(room: &Json) -> Vec<String> {
    let events = room["timeline"]["events"].as_array().expect("a timeline");
    let name = |event: &Json| {
        event["content"]["body"]
            .as_str()
            .or(event["type"].as_str())
            .map(str::to_owned)
    };
    events.iter().map(|event| name(event).expect("a type")).collect()
}

/// The types and state keys of the state part, sorted.
pub(crate) fn state_of(room: &Json) -> Vec<String> {
    let part = if room["state_after"].is_object() {
        &room["state_after"]
    } else {
        &room["state"]
    };
    let events = part["events"].as_array().expect("a state part");
    let mut names: Vec<String> = events
        .iter()
        .map(|event| {
            format!(
                "{} {}",
                event["type"].as_str().expect("a type"),
                event["state_key"].as_str().expect("a key")
            )
        })
        .collect();
    names.sort();
    names
}

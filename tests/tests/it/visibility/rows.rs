//! What each endpoint of the route table shows to whom.
//!
//! To add an endpoint: a function in [`questions`] that gives the questions to ask of it, for somebody in a scene, with what the rules say of the answers,
//! and its line in [`ROWS`]. If it shows nothing of a room, a line in [`OTHERS`].

mod answers;
mod questions;

use serde_json::Value;

use super::{Scene, Who};

/// A request, and what may come back.
pub(super) struct Question {
    pub(super) target: String,
    /// With a body it is a POST.
    pub(super) body: Option<Value>,
    pub(super) answer: Answered,
}

pub(super) enum Answered {
    /// This status.
    Refused(u16),
    /// Success, with these words in it and not those.
    Tells { shown: Vec<String>, hidden: Vec<String> },
}

/// What an endpoint has to do with rooms.
pub(super) enum Row {
    /// Nothing, or only the asker's own things in them.
    Nothing,
    /// It changes a room: who may is decided by the rules for events, which the master's tests are about.
    Changes,
    /// It reads a room: the questions to ask, for somebody in a scene.
    Reads(fn(&Scene, Who) -> Vec<Question>),
}

/// The row of each endpoint by its name in the route table. Of families of endpoints that hold nothing of rooms, [`holds_nothing_of_rooms`] knows.
pub(super) const ROWS: &[(&str, Row)] = &[
    ("messages", Row::Reads(questions::messages)),
    ("context", Row::Reads(questions::context)),
    ("event", Row::Reads(questions::event)),
    ("event_anywhere", Row::Reads(questions::event_anywhere)),
    ("timestamp_to_event", Row::Reads(questions::timestamp_to_event)),
    ("relations", Row::Reads(questions::relations)),
    ("relations_of_type", Row::Reads(questions::relations_of_type)),
    (
        "relations_of_type_and_event",
        Row::Reads(questions::relations_of_type_and_event),
    ),
    ("threads", Row::Reads(questions::threads)),
    ("state", Row::Reads(questions::state)),
    ("state_event", Row::Reads(questions::state_event)),
    ("members", Row::Reads(questions::members)),
    ("joined_members", Row::Reads(questions::joined_members)),
    ("joined_rooms", Row::Reads(questions::joined_rooms)),
    ("sync", Row::Reads(questions::sync)),
    ("initial_sync", Row::Reads(questions::initial_sync)),
    ("room_initial_sync", Row::Reads(questions::room_initial_sync)),
    ("events", Row::Reads(questions::events)),
    ("search", Row::Reads(questions::search)),
    ("notifications", Row::Reads(questions::notifications)),
    ("aliases", Row::Reads(questions::aliases)),
    ("hierarchy", Row::Reads(questions::hierarchy)),
    ("room_summary", Row::Reads(questions::room_summary)),
    ("public_rooms", Row::Reads(questions::public_rooms)),
    ("search_public_rooms", Row::Reads(questions::search_public_rooms)),
];

/// Families of endpoints that hold nothing of rooms, or only the asker's own things, by their paths without the version.
fn holds_nothing_of_rooms(path: &str) -> bool {
    const BEGINNINGS: [&str; 24] = [
        "/account",
        "/admin",
        "/auth",
        "/auth_metadata",
        "/capabilities",
        "/delete_devices",
        "/devices",
        "/keys",
        "/login",
        "/logout",
        "/media",
        "/presence",
        "/profile",
        "/pushers",
        "/pushrules",
        "/refresh",
        "/register",
        "/room_keys",
        "/sendToDevice",
        "/thirdparty",
        "/user",
        "/user_directory",
        "/versions",
        "/voip",
    ];
    let path = path.strip_prefix("/_matrix/client").unwrap_or(path);
    let versions = ["/v1", "/v3", "/r0", "/api/v1", "/unstable"];
    let path = versions
        .iter()
        .find_map(|version| path.strip_prefix(version))
        .unwrap_or(path);
    // Before it was stable, it was somebody's: `/org.matrix.msc3882/login/get_token`.
    let vendors = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    let path = match vendors {
        Some((vendor, rest)) if vendor.contains('.') && vendor != ".well-known" => &path[path.len() - rest.len() - 1..],
        _ => path,
    };
    let others = [
        "/_matrix/media",
        "/_matrix/federation/v1/openid",
        "/_matrix/federation/v1/query/profile",
        "/_matrix/federation/v1/version",
        "/_matrix/key",
        "/_synapse/admin",
        "/.well-known",
    ];
    BEGINNINGS.iter().chain(&others).any(|beginning| {
        path.strip_prefix(beginning)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The row of an endpoint of the table, if it has one.
pub(super) fn row_of(route: &Value) -> Option<&'static Row> {
    let name = route["name"].as_str().expect("a name");
    if let Some((_, row)) = ROWS.iter().chain(OTHERS).find(|(known, _)| *known == name) {
        return Some(row);
    }
    let mut paths = route["paths"]
        .as_array()
        .expect("paths")
        .iter()
        .filter_map(Value::as_str);
    if paths.all(holds_nothing_of_rooms) {
        return Some(&Row::Nothing);
    }
    let changes = route["method"] != "GET" && route["method"] != "POST";
    changes.then_some(&Row::Changes)
}

/// Endpoints that read nothing of a room, though their paths do not say so.
const OTHERS: &[(&str, Row)] = &[
    ("create_room", Row::Changes),
    ("join", Row::Changes),
    ("join_by_id", Row::Changes),
    ("knock", Row::Changes),
    ("invite", Row::Changes),
    ("leave", Row::Changes),
    ("forget", Row::Changes),
    ("kick", Row::Changes),
    ("ban", Row::Changes),
    ("unban", Row::Changes),
    ("upgrade", Row::Changes),
    ("receipt", Row::Changes),
    ("read_markers", Row::Changes),
    ("send_once", Row::Changes),
    ("redact_once", Row::Changes),
    ("report_room", Row::Changes),
    ("report_event", Row::Changes),
    ("report_user", Row::Changes),
    // What other servers see of rooms is the matter of `federation/resident.rs` and `federation/lookups.rs`.
    ("federation_event", Row::Nothing),
    ("federation_event_auth", Row::Nothing),
    ("federation_state", Row::Nothing),
    ("federation_state_ids", Row::Nothing),
    ("federation_backfill", Row::Nothing),
    ("federation_missing_events", Row::Nothing),
    ("federation_timestamp_to_event", Row::Nothing),
    ("federation_hierarchy", Row::Nothing),
    ("room_complexity", Row::Nothing),
    ("federation_public_rooms", Row::Nothing),
    ("federation_search_public_rooms", Row::Nothing),
    ("federation_directory", Row::Nothing),
    ("federation_query_keys", Row::Nothing),
    ("federation_claim_keys", Row::Nothing),
    ("federation_devices", Row::Nothing),
    ("federation_download", Row::Nothing),
    ("federation_thumbnail", Row::Nothing),
    ("make_join", Row::Changes),
    ("make_leave", Row::Changes),
    ("make_knock", Row::Changes),
    // What an alias leads to, and whether a room is in the directory, is for everybody.
    ("alias", Row::Nothing),
    ("listed", Row::Nothing),
    // Rooms that both users are in, and no more of them than their ids.
    ("mutual_rooms", Row::Nothing),
];

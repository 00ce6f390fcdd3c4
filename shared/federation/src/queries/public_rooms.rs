//! `GET` and `POST /_matrix/federation/v1/publicRooms`: the directory of another server.

use http::Method;
use ruma::ServerName;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Federation,
    request::{Outgoing, encode},
    rooms::{FetchError, read},
};

/// Most bytes of an answer: a thousand rooms.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What of a directory is wanted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DirectoryWish {
    /// Most rooms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// A token of an earlier answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What the rooms have to be like.
    #[serde(skip_serializing_if = "DirectoryFilter::is_empty")]
    pub filter: DirectoryFilter,
    /// Only rooms of a bridged network.
    #[serde(rename = "third_party_instance_id", skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// What rooms have to be like.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DirectoryFilter {
    /// A word in what is said of them.
    #[serde(rename = "generic_search_term", skip_serializing_if = "Option::is_none")]
    pub term: Option<String>,
    /// Their kinds, nothing for ordinary ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_types: Option<Vec<Option<String>>>,
}

impl DirectoryFilter {
    fn is_empty(&self) -> bool {
        self.term.is_none() && self.room_types.is_none()
    }
}

impl Federation {
    /// A page of a server's directory, as it writes it.
    pub async fn fetch_public_rooms(&self, server: &ServerName, wish: &DirectoryWish) -> Result<Value, FetchError> {
        const PATH: &str = "/_matrix/federation/v1/publicRooms";
        // Servers from before there was a search know GET only.
        let mut request = if wish.filter.is_empty() {
            let limit = wish.limit.map(|limit| format!("limit={limit}"));
            let since = wish.since.as_ref().map(|since| format!("since={}", encode(since)));
            let network = wish.network.as_ref();
            let network = network.map(|network| format!("third_party_instance_id={}", encode(network)));
            let query: Vec<String> = [limit, since, network].into_iter().flatten().collect();
            let mark = if query.is_empty() { "" } else { "?" };
            Outgoing::get(server, format!("{PATH}{mark}{}", query.join("&")))
        } else {
            Outgoing::with_body(server, Method::POST, PATH.to_owned(), json!(wish).to_string())
        };
        request.limits.answer_bytes_max = ANSWER_BYTES_MAX;
        read(server, &self.send(request).await?)
    }
}

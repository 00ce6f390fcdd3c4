//! `POST /_matrix/federation/v1/user/keys/claim`: one-time keys.

use std::collections::BTreeMap;

use http::Method;
use ruma::{OwnedUserId, ServerName};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    Federation,
    request::{BackOff, Outgoing},
    rooms::{FetchError, read},
};

/// Of each user, for each device, the algorithm a key is wanted of.
pub type KeysToClaim = BTreeMap<OwnedUserId, BTreeMap<String, String>>;

/// Keys by user, device and name, as the server writes them.
pub type ClaimedKeys = BTreeMap<String, BTreeMap<String, BTreeMap<String, Box<RawValue>>>>;

#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    one_time_keys: ClaimedKeys,
}

impl Federation {
    /// Takes keys of devices of users of a server, by that server.
    pub async fn fetch_one_time_keys(
        &self,
        server: &ServerName,
        wanted: &KeysToClaim,
    ) -> Result<ClaimedKeys, FetchError> {
        let content = json!({"one_time_keys": wanted}).to_string();
        let target = "/_matrix/federation/v1/user/keys/claim".to_owned();
        let mut request = Outgoing::with_body(server, Method::POST, target, content);
        request.back_off = BackOff::Respect;
        let Body { one_time_keys } = read(server, &self.send(request).await?)?;
        Ok(one_time_keys)
    }
}

//! `POST /_matrix/federation/v1/user/keys/query`: keys of devices and users.

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

/// The devices wanted of each user; none are all of them.
pub type KeysWanted = BTreeMap<OwnedUserId, Vec<String>>;

/// Keys, by user as the server writes them.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct KeysOfUsers {
    /// By user and device.
    #[serde(default)]
    pub device_keys: BTreeMap<String, BTreeMap<String, Box<RawValue>>>,
    /// The master key of each user.
    #[serde(default)]
    pub master_keys: BTreeMap<String, Box<RawValue>>,
    /// The key with which each user signs his devices.
    #[serde(default)]
    pub self_signing_keys: BTreeMap<String, Box<RawValue>>,
}

impl Federation {
    /// Keys of users of a server, by that server.
    pub async fn fetch_keys(&self, server: &ServerName, wanted: &KeysWanted) -> Result<KeysOfUsers, FetchError> {
        let content = json!({"device_keys": wanted}).to_string();
        let target = "/_matrix/federation/v1/user/keys/query".to_owned();
        let mut request = Outgoing::with_body(server, Method::POST, target, content);
        request.back_off = BackOff::Respect;
        read(server, &self.send(request).await?)
    }
}

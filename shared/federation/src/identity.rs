//! Identity servers: whose an e-mail address or phone number is, and invites that wait for somebody to have proved that one is his.
//!
//! A user's client names the server and gives a token for it; whether that server is asked at all is decided before. Nothing is signed, nothing is tried
//! again later, and a server that does not answer is no matter for anybody else.
//!
//! <https://spec.matrix.org/v1.19/identity-service-api/>

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use plexus_core::event::hash::{encode_url_safe_base64, sha256};
use ruma::{OwnedUserId, ServerName};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    Federation,
    flights::run_elsewhere,
    outbound::{Answer, Limits, OutboundError},
    request::encode,
};

/// How much of each exchange there may be. A user waits for up to five of them.
const LIMITS: Limits = Limits {
    timeout: Duration::from_secs(10),
    answer_bytes_max: 64 * 1024,
};
/// Longest token that an identity server makes for an invite, as the specification has it.
const INVITE_TOKEN_BYTES_MAX: usize = 255;
/// Most keys that an invite may be signed with: the server's own, and one for this invite.
const KEYS_MAX: usize = 10;
/// Most bytes of a key, an address, or what is shown instead of one.
const TEXT_BYTES_MAX: usize = 2048;
/// Most characters of what a server says that are passed on.
const ERROR_CHARS_MAX: usize = 200;

/// Why an identity server is of no help.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It cannot be reached, or does not answer in time.
    #[error("the identity server {server}: {source}")]
    Unreachable {
        /// Which.
        server: String,
        /// Why.
        source: OutboundError,
    },
    /// It answers with an error.
    #[error("the identity server answers {status} {errcode}: {error}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// `M_...`, or empty.
        errcode: String,
        /// What it says, cut.
        error: String,
        /// Whose the address is, with `M_THREEPID_IN_USE`.
        mxid: Option<OwnedUserId>,
    },
    /// It answers with something else than it should.
    #[error("the identity server answers with {0}")]
    Malformed(&'static str),
    /// The process stops.
    #[error("the process is stopping")]
    Stopping,
}

/// An e-mail address or phone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `email` or `msisdn`.
    pub medium: String,
    /// The address, in the form in which two are compared.
    pub address: String,
}

/// Where it is told whether a key is still good: a place of an identity server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUrl {
    uri: Uri,
    server: String,
}

impl KeyUrl {
    /// Nothing if it is not one of HTTPS.
    pub fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok().filter(|uri: &Uri| uri.scheme_str() == Some("https"))?;
        let server = uri.authority()?.as_str().to_ascii_lowercase();
        (!server.contains('@')).then_some(Self { uri, server })
    }

    /// The server: its host, in lower case, and its port if one is named.
    pub fn server(&self) -> &str {
        &self.server
    }
}

/// An identity server, for somebody who has a token for it.
#[derive(Clone, Copy, Debug)]
pub struct IdentityServer<'a> {
    federation: &'a Federation,
    name: &'a ServerName,
    token: &'a str,
}

/// An invite to be kept until somebody has proved that the address is his.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InviteToStore {
    /// `email` or `msisdn`.
    pub medium: String,
    /// The address.
    pub address: String,
    /// Into which room.
    pub room_id: String,
    /// Who invites.
    pub sender: String,
    /// What the invited one is told in the message that he gets.
    #[serde(flatten)]
    pub shown: serde_json::Map<String, Value>,
}

/// What a room says of an invite that an identity server keeps: the content of `m.room.third_party_invite`, and its state key.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredInvite {
    /// Who shows it signed is the invited one.
    pub token: String,
    /// As what the address is shown.
    pub display_name: String,
    /// The keys by which it may be signed, at least one, and where it is told whether they are still good.
    pub public_keys: Vec<(String, Option<String>)>,
}

#[derive(Debug, Deserialize)]
struct HashDetails {
    lookup_pepper: String,
    algorithms: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Mappings {
    mappings: serde_json::Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct StoreAnswer {
    token: String,
    display_name: String,
    public_keys: Vec<PublicKey>,
}

#[derive(Debug, Deserialize)]
struct PublicKey {
    public_key: String,
    key_validity_url: Option<String>,
}

impl Federation {
    /// An identity server, for somebody who has a token for it.
    pub fn identity_server<'a>(&'a self, name: &'a ServerName, token: &'a str) -> IdentityServer<'a> {
        IdentityServer {
            federation: self,
            name,
            token,
        }
    }

    /// Whether a key is still good with which an invite may be signed, by the place that is asked for that.
    pub async fn is_invite_key_valid(&self, at: &KeyUrl, key: &str) -> Result<bool, IdentityError> {
        #[derive(Deserialize)]
        struct Validity {
            valid: bool,
        }
        let joint = if at.uri.query().is_some() { '&' } else { '?' };
        let uri = format!("{}{joint}public_key={}", at.uri, encode(key));
        let request = Request::builder().uri(uri);
        let answer = self.ask_web(&at.server, request, Bytes::new()).await?;
        Ok(read::<Validity>(&answer)?.valid)
    }

    async fn ask_web(
        &self,
        server: &str,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<Answer, IdentityError> {
        let transport = self.transport().clone();
        let exchange = async move { transport.ask_web(request, body, LIMITS).await };
        let answer = run_elsewhere(self.spawn(), exchange).await;
        let answer = answer.ok_or(IdentityError::Stopping)?;
        let answer = answer.map_err(|source| IdentityError::Unreachable {
            server: server.to_owned(),
            source,
        })?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(refused(&answer))
        }
    }
}

impl IdentityServer<'_> {
    /// Whose an address is; nothing if it is nobody's that the server knows.
    pub async fn look_up(&self, address: &Address) -> Result<Option<OwnedUserId>, IdentityError> {
        match self.look_up_once(address).await {
            // It has changed its pepper in between; not twice.
            Err(IdentityError::Refused { errcode, .. }) if errcode == "M_INVALID_PEPPER" => {
                self.look_up_once(address).await
            }
            outcome => outcome,
        }
    }

    async fn look_up_once(&self, address: &Address) -> Result<Option<OwnedUserId>, IdentityError> {
        let details: HashDetails = read(&self.ask(Method::GET, "hash_details", None).await?)?;
        let pepper = &details.lookup_pepper;
        let knows = |algorithm: &str| details.algorithms.iter().any(|known| known == algorithm);
        let (algorithm, question) = if knows("sha256") {
            ("sha256", hashed(address, pepper))
        } else if knows("none") {
            ("none", format!("{} {}", address.address, address.medium))
        } else {
            return Err(IdentityError::Malformed(
                "no way to look up addresses that is known here",
            ));
        };
        let body = json!({"algorithm": algorithm, "pepper": pepper, "addresses": [question]});
        let answer: Mappings = read(&self.ask(Method::POST, "lookup", Some(&body)).await?)?;
        match answer.mappings.get(&question) {
            None => Ok(None),
            Some(user_id) => {
                let user_id = user_id.as_str().and_then(|id| OwnedUserId::try_from(id).ok());
                user_id.map(Some).ok_or(IdentityError::Malformed("no user's id"))
            }
        }
    }

    /// Has an invite kept, and the invited one told of it.
    pub async fn store_invite(&self, invite: &InviteToStore) -> Result<StoredInvite, IdentityError> {
        let body = serde_json::to_value(invite).map_err(|_| IdentityError::Malformed("nothing"))?;
        let answer: StoreAnswer = read(&self.ask(Method::POST, "store-invite", Some(&body)).await?)?;
        check_stored(answer)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, IdentityError> {
        let uri = format!("https://{}/_matrix/identity/v2/{path}", self.name);
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        self.federation.ask_web(self.name.as_str(), request, body.into()).await
    }
}

/// An address as it is looked up, so that whoever does not have it learns nothing of it.
fn hashed(address: &Address, pepper: &str) -> String {
    let text = format!("{} {} {pepper}", address.address, address.medium);
    encode_url_safe_base64(&sha256(text.as_bytes()))
}

/// What goes into a room is no more than what belongs there.
fn check_stored(answer: StoreAnswer) -> Result<StoredInvite, IdentityError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b".=_-".contains(&byte);
    if answer.token.is_empty() || answer.token.len() > INVITE_TOKEN_BYTES_MAX || !answer.token.bytes().all(is_token) {
        return Err(IdentityError::Malformed("no valid token"));
    }
    let is_short = |text: &str| text.len() <= TEXT_BYTES_MAX;
    let keys = &answer.public_keys;
    let are_short = keys
        .iter()
        .all(|key| is_short(&key.public_key) && key.key_validity_url.as_deref().is_none_or(is_short));
    if keys.is_empty() || keys.len() > KEYS_MAX || !are_short {
        return Err(IdentityError::Malformed("no keys"));
    }
    if !is_short(&answer.display_name) {
        return Err(IdentityError::Malformed("a name that is too long"));
    }
    let public_keys = answer.public_keys.into_iter();
    Ok(StoredInvite {
        token: answer.token,
        display_name: answer.display_name,
        public_keys: public_keys.map(|key| (key.public_key, key.key_validity_url)).collect(),
    })
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, IdentityError> {
    serde_json::from_slice(&answer.body).map_err(|_| IdentityError::Malformed("something else than was asked for"))
}

fn refused(answer: &Answer) -> IdentityError {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        errcode: String,
        error: String,
        mxid: Option<OwnedUserId>,
    }
    let Body { errcode, error, mxid } = serde_json::from_slice(&answer.body).unwrap_or_default();
    let cut = |text: String| -> String {
        let shown = text.chars().filter(|character| !character.is_control());
        shown.take(ERROR_CHARS_MAX).collect()
    };
    IdentityError::Refused {
        status: answer.status,
        errcode: cut(errcode),
        error: cut(error),
        mxid,
    }
}

#[cfg(test)]
mod tests;

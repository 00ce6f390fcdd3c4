//! How requests between servers are signed: the `Authorization` header of the scheme `X-Matrix`.
//!
//! See <https://spec.matrix.org/v1.19/server-server-api/#request-authentication>.

use std::fmt::Write as _;

use plexus_core::{
    event::{JsonError, SigningKey, VerifyKey, canonical::canonicalize, hash::encode_base64, json},
    room_version::Numbers,
};
use ruma::{OwnedServerName, ServerName};

/// The scheme, in the header.
const SCHEME: &str = "X-Matrix";
/// Most parameters that are read: there are four, and unknown ones are ignored.
const PARAMETERS_MAX: usize = 16;

/// A header that does not say what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XMatrixError {
    /// Another scheme.
    #[error("the authorization is not of the scheme X-Matrix")]
    Scheme,
    /// Not a list of names and values.
    #[error("the X-Matrix authorization is malformed")]
    Syntax,
    /// A parameter that has to be there is not, or is there twice.
    #[error("the X-Matrix authorization has no single `{0}`")]
    Parameter(&'static str),
    /// A server name that is none.
    #[error("the X-Matrix authorization names a server that cannot be")]
    ServerName,
}

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XMatrix {
    /// Who says to have sent the request.
    pub origin: OwnedServerName,
    /// Whom it is for; servers older than version 1.3 of the specification do not say.
    pub destination: Option<OwnedServerName>,
    /// The key it is signed with.
    pub key_id: String,
    /// The signature, in base64.
    pub signature: String,
}

impl XMatrix {
    /// Reads the value of an `Authorization` header.
    pub fn parse(header: &str) -> Result<Self, XMatrixError> {
        let (scheme, rest) = header.split_once(' ').ok_or(XMatrixError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(XMatrixError::Scheme);
        }
        let parameters = parameters(rest)?;
        let one = |name: &'static str, other: &'static str| {
            let mut found = parameters
                .iter()
                .filter(|(known, _)| known.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(other));
            match (found.next(), found.next()) {
                (Some((_, value)), None) => Ok(Some(value.clone())),
                (None, _) => Ok(None),
                // Two values would be two readings of one request.
                (Some(_), Some(_)) => Err(XMatrixError::Parameter(name)),
            }
        };
        let needed = |name: &'static str, other| one(name, other)?.ok_or(XMatrixError::Parameter(name));
        let server = |name: String| OwnedServerName::try_from(name).map_err(|_| XMatrixError::ServerName);
        Ok(Self {
            origin: server(needed("origin", "origin")?)?,
            destination: one("destination", "destination")?.map(server).transpose()?,
            key_id: needed("key", "key")?,
            // The specification's text has one name, its examples and all servers the other.
            signature: needed("sig", "signature")?,
        })
    }

    /// The value of the header. Names, base64 and key ids have no character that needs an escape.
    pub fn to_header(&self) -> String {
        let mut header = format!("{SCHEME} origin=\"{}\"", self.origin);
        if let Some(destination) = &self.destination {
            let _infallible = write!(header, ",destination=\"{destination}\"");
        }
        let _infallible = write!(header, ",key=\"{}\",sig=\"{}\"", self.key_id, self.signature);
        header
    }
}

/// What a signature covers, besides the names of the two servers.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query, as they are sent.
    pub target: &'a str,
    /// The body, if there is one.
    pub content: Option<&'a [u8]>,
}

impl Signed<'_> {
    /// Signs a request.
    pub fn sign(&self, origin: &ServerName, destination: &ServerName, key: &SigningKey) -> Result<XMatrix, JsonError> {
        let message = self.message(origin, Some(destination))?;
        Ok(XMatrix {
            origin: origin.to_owned(),
            destination: Some(destination.to_owned()),
            key_id: key.key_id().to_owned(),
            signature: encode_base64(&key.sign(&message)),
        })
    }

    /// Whether the header's signature is the key's signature of this request.
    pub fn verify(&self, header: &XMatrix, key: &VerifyKey) -> Result<bool, JsonError> {
        let message = self.message(&header.origin, header.destination.as_deref())?;
        Ok(key.verify(&message, &header.signature))
    }

    /// The canonical object that is signed. Numbers are of any kind, as events of old room versions have such.
    fn message(&self, origin: &ServerName, destination: Option<&ServerName>) -> Result<Vec<u8>, JsonError> {
        let mut message = vec![b'{'];
        if let Some(content) = self.content {
            message.extend_from_slice(b"\"content\":");
            canonicalize(content, Numbers::Lenient, &mut message)?;
            message.push(b',');
        }
        let members = [
            ("destination", destination.map(ServerName::as_str)),
            ("method", Some(self.method)),
            ("origin", Some(origin.as_str())),
            ("uri", Some(self.target)),
        ];
        for (name, value) in members {
            let Some(value) = value else { continue };
            json::write_string(&mut message, name);
            message.push(b':');
            json::write_string(&mut message, value);
            message.push(b',');
        }
        message.pop();
        message.push(b'}');
        Ok(message)
    }
}

/// `name=value` pairs with commas between them; values are in quotes or not.
fn parameters(text: &str) -> Result<Vec<(String, String)>, XMatrixError> {
    let mut found = Vec::new();
    let mut rest = text.trim_matches([' ', '\t']);
    while !rest.is_empty() {
        if found.len() == PARAMETERS_MAX {
            return Err(XMatrixError::Syntax);
        }
        let (name, after) = rest.split_once('=').ok_or(XMatrixError::Syntax)?;
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_name {
            return Err(XMatrixError::Syntax);
        }
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => plain(after),
        };
        found.push((name.to_owned(), value));
        let after = after.trim_start_matches([' ', '\t']);
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start_matches([' ', '\t']),
            None if after.is_empty() => after,
            None => return Err(XMatrixError::Syntax),
        };
    }
    Ok(found)
}

/// A value up to its closing quote, without its escapes, and what comes after.
fn unquote(text: &str) -> Result<(String, &str), XMatrixError> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(characters.next().ok_or(XMatrixError::Syntax)?.1),
            other => value.push(other),
        }
    }
    Err(XMatrixError::Syntax)
}

/// A value without quotes. Older servers put colons and slashes there, so that all counts that does not end it.
fn plain(text: &str) -> (String, &str) {
    let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
    (text[..end].to_owned(), &text[end..])
}

#[cfg(test)]
mod tests;

//! The secret that processes of one deployment share.

use std::fmt;

use plexus_proto::master_server::{Master, MasterServer};
use subtle::ConstantTimeEq;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
};

use crate::master_client::MESSAGE_BYTES_MAX;

/// The metadata key it travels under.
const HEADER: &str = "plexus-secret";

/// A shared secret; it prints as nothing.
#[derive(Clone)]
pub struct Secret(MetadataValue<Ascii>);

/// The text cannot be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared secret must be visible ASCII, and not empty")]
pub struct InvalidSecret;

impl Secret {
    /// Reads a secret.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidSecret);
        }
        let mut value = MetadataValue::try_from(text).map_err(|_| InvalidSecret)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// Whether `other` is the same, in a time that tells nothing about where they differ.
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(other).into()
    }

    pub(crate) fn attach<T>(&self, request: &mut Request<T>) {
        request.metadata_mut().insert(HEADER, self.0.clone());
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Refuses calls without the secret.
#[derive(Clone, Debug)]
pub struct SecretCheck(Secret);

impl Interceptor for SecretCheck {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        match request.metadata().get(HEADER) {
            Some(sent) if self.0.matches(sent.as_bytes()) => Ok(request),
            _ => Err(Status::unauthenticated("the shared secret is missing or wrong")),
        }
    }
}

/// The master's service as other processes reach it.
pub fn master_server<M: Master>(master: M, secret: Secret) -> InterceptedService<MasterServer<M>, SecretCheck> {
    let server = MasterServer::new(master)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    InterceptedService::new(server, SecretCheck(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_needs_the_secret() {
        let secret = Secret::parse("correct-horse").unwrap();
        let mut check = SecretCheck(secret.clone());
        let mut request = Request::new(());
        assert!(check.call(request).is_err());
        request = Request::new(());
        Secret::parse("correct-house").unwrap().attach(&mut request);
        assert!(check.call(request).is_err());
        request = Request::new(());
        secret.attach(&mut request);
        assert!(check.call(request).is_ok());
    }

    #[test]
    fn a_secret_is_visible_ascii_and_never_printed() {
        for text in ["", "with space", "new\nline", "snö"] {
            assert!(Secret::parse(text).is_err(), "{text:?}");
        }
        let printed = format!("{:?}", SecretCheck(Secret::parse("correct-horse").unwrap()));
        assert!(!printed.contains("horse"));
    }
}

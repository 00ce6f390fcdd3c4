//! The content repository (<https://spec.matrix.org/v1.19/client-server-api/#content-repository>): whose a file is, and under which id it is asked for.

pub mod download;
pub mod remote;
pub mod thumbnail;
pub mod upload;

use ruma::ServerName;

use crate::ServiceError;

/// Longest media id.
const MEDIA_ID_BYTES_MAX: usize = 255;

/// The two parts of an `mxc://` URI, as somebody asks for them.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    server_name: &'a ServerName,
    media_id: &'a str,
}

impl<'a> Asked<'a> {
    /// Takes nothing but what an id can be made of, so that none means anything to a file system or a URL.
    pub fn parse(server_name: &'a str, media_id: &'a str) -> Result<Self, ServiceError> {
        let server_name = <&ServerName>::try_from(server_name);
        let server_name = server_name.map_err(|_| ServiceError::invalid_param("the server name is not valid"))?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if media_id.is_empty() || media_id.len() > MEDIA_ID_BYTES_MAX || !media_id.bytes().all(allowed) {
            return Err(ServiceError::invalid_param("the media id is not valid"));
        }
        Ok(Self { server_name, media_id })
    }

    /// The id, if it is of this server.
    fn local(self, own: &ServerName) -> Result<&'a str, ServiceError> {
        if self.server_name == own {
            Ok(self.media_id)
        } else {
            Err(ServiceError::not_found("the file is of another server"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_17_ids_are_taken_or_refused_whole() {
        for server in ["here", "here:8448", "1.2.3.4", "[::1]", "[2001:db8::1]:8448"] {
            assert!(Asked::parse(server, "aZ0_-").is_ok(), "{server}");
        }
        for server in ["", "a/b", "here:", "[::1", "h\0st", "hérε", "a b", "here/../../etc"] {
            assert!(Asked::parse(server, "a").is_err(), "{server:?}");
        }
        let long = "a".repeat(MEDIA_ID_BYTES_MAX + 1);
        for id in [
            "",
            "..",
            ".",
            "a/b",
            "a\\b",
            "%2e%2e",
            "a\0",
            "ä",
            "a b",
            "a.png",
            long.as_str(),
        ] {
            assert!(Asked::parse("here", id).is_err(), "{id:?}");
        }
    }
}

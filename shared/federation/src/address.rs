//! What a server name says about where the server is.
//!
//! See <https://spec.matrix.org/v1.19/appendices/#server-name>.

use std::{fmt, net::IpAddr};

use ruma::ServerName;

/// The host part of a server name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address, which needs no look-up.
    Ip(IpAddr),
    /// A name to look up, in lower case.
    Name(String),
}

impl Host {
    /// Reads a host as it stands in a URL or a server name: IPv6 addresses with their brackets or without.
    pub fn parse(host: &str) -> Self {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse() {
            Ok(address) => Self::Ip(address),
            Err(_) => Self::Name(host.to_ascii_lowercase()),
        }
    }
}

impl fmt::Display for Host {
    /// As in a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Ip(IpAddr::V4(address)) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A server name in its parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The host.
    pub host: Host,
    /// The port, if the name has one.
    pub port: Option<u16>,
}

impl Address {
    /// Takes a server name apart.
    pub fn of(server: &ServerName) -> Self {
        Self {
            host: Host::parse(server.host()),
            port: server.port(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: &str) -> Address {
        Address::of(<&ServerName>::try_from(name).expect("a server name"))
    }

    #[test]
    fn names_of_every_form_are_taken_apart() {
        let ip = |text: &str| Host::Ip(text.parse().expect("an address"));
        let name = |text: &str| Host::Name(text.to_owned());
        for (server, host, port) in [
            ("matrix.org", name("matrix.org"), None),
            ("Matrix.ORG:8888", name("matrix.org"), Some(8888)),
            ("xn--bcher-kva.example", name("xn--bcher-kva.example"), None),
            ("1.2.3.4", ip("1.2.3.4"), None),
            ("1.2.3.4:1234", ip("1.2.3.4"), Some(1234)),
            ("[1234:5678::abcd]", ip("1234:5678::abcd"), None),
            ("[1234:5678::abcd]:5678", ip("1234:5678::abcd"), Some(5678)),
            // Names to look up, although some systems read them as addresses: what comes out of the look-up is filtered.
            ("127.1", name("127.1"), None),
            ("0x7f000001:8448", name("0x7f000001"), Some(8448)),
            ("256.1.1.1", name("256.1.1.1"), None),
        ] {
            assert_eq!(address(server), Address { host, port }, "{server}");
        }
    }

    #[test]
    fn what_is_no_server_name_does_not_get_here() {
        for text in [
            "",
            ":8448",
            "a b",
            "a/b",
            "user@host",
            "[::1",
            "[fe80::1%eth0]",
            "::1",
            "host:",
            "host:99999",
            "host:80:80",
            "ümlaut.example",
            "a_b.example",
        ] {
            assert!(<&ServerName>::try_from(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_host_is_written_as_in_a_url() {
        for text in ["[::1]", "127.0.0.1", "a.example"] {
            assert_eq!(Host::parse(text).to_string(), text);
        }
    }
}
